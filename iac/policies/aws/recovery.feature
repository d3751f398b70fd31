Feature: Data comes back
  A mistake, a failed zone and a deleted table are an hour's work, not the end.

  Scenario: Tables can be restored to any second
    Given I have aws_dynamodb_table defined
    Then it must contain point_in_time_recovery
    And it must contain enabled
    And its value must be true

  Scenario: The database can be restored to any second of a week
    Given I have aws_db_instance defined
    Then it must contain backup_retention_period
    And its value must be greater and equal to 7

  Scenario: Buckets keep old versions
    Given I have aws_s3_bucket defined
    Then it must contain versions
    And its value must match the "^Enabled$" regex

  Scenario: Tables of prod are protected from deletion
    Given I have aws_dynamodb_table defined
    When its environment is prod
    Then it must contain deletion_protection_enabled
    And its value must be true

  Scenario: The database of prod is protected from deletion
    Given I have aws_db_instance defined
    When its environment is prod
    Then it must contain deletion_protection
    And its value must be true

  Scenario: The database of prod leaves a last snapshot
    Given I have aws_db_instance defined
    When its environment is prod
    Then it must contain skip_final_snapshot
    And its value must be false

  Scenario: Buckets of prod are not deleted with their objects
    Given I have aws_s3_bucket defined
    When its environment is prod
    Then it must contain force_destroy
    And its value must be false

  Scenario: The database of prod has a standby
    Given I have aws_db_instance defined
    When its environment is prod
    Then it must contain multi_az
    And its value must be true

  Scenario: Brokers of prod are three
    Given I have aws_msk_cluster defined
    When its environment is prod
    Then it must contain number_of_broker_nodes
    And its value must be greater and equal to 3
