Feature: No surprise on Google's invoice

  Scenario: There is a budget
    Given I have platform defined
    Then it must contain budgets
    And its value must be greater and equal to 1

  Scenario: The budget tells somebody
    Given I have google_billing_budget defined
    Then it must contain tells
    And its value must match the "^somebody$" regex

  Scenario: The cluster grows to a limit
    Given I have google_dataproc_autoscaling_policy defined
    Then it must contain most_workers
    And its value must be lesser and equal to 50

  Scenario: Nodes are of a size that was agreed
    Given I have google_dataproc_cluster defined
    Then it must contain sizes
    And its value must match the "^[a-z0-9]+-(standard|highmem)-(2|4|8)$" regex

  Scenario: Warehouse tables are partitioned by their own time
    Given I have google_bigquery_table defined
    Then it must contain partitioned
    And its value must match the "^by a column$" regex

  Scenario: Results are not kept forever
    Given I have google_bigquery_table defined
    Then it must contain kept
    And its value must match the "^for a time$" regex

  Scenario: Buckets drop old versions in time
    Given I have google_storage_bucket defined
    Then it must contain old_versions
    And its value must match the "^go$" regex
