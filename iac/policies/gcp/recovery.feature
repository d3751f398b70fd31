Feature: What is lost on Google Cloud comes back

  Scenario: Buckets keep old versions
    Given I have google_storage_bucket defined
    Then it must contain versioning
    And it must contain enabled
    And its value must be true

  Scenario: Deleted objects come back for a week
    Given I have google_storage_bucket defined
    Then it must contain soft_delete_policy
    And it must contain retention_duration_seconds
    And its value must be greater and equal to 604800

  Scenario: Deleted rows come back for a week
    Given I have google_bigquery_dataset defined
    Then it must contain max_time_travel_hours
    And its value must match the "^168$" regex

  Scenario: Buckets are not deleted with their objects
    Given I have google_storage_bucket defined
    Then it must contain force_destroy
    And its value must be false

  Scenario: Datasets are not deleted with their tables
    Given I have google_bigquery_dataset defined
    Then it must contain delete_contents_on_destroy
    And its value must be false

  Scenario: Warehouse tables are protected from deletion
    Given I have google_bigquery_table defined
    Then it must contain deletion_protection
    And its value must be true

  Scenario: Secrets are protected from deletion
    Given I have google_secret_manager_secret defined
    Then it must contain deletion_protection
    And its value must be true

  Scenario: A job that fails starts again
    Given I have google_dataproc_job defined
    Then it must contain scheduling
    And it must contain max_failures_per_hour
    And its value must be greater and equal to 1
