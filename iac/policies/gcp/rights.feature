Feature: Least privilege on Google Cloud, and of Google on AWS

  Scenario: No grant is of a basic role
    Given I have google_grant defined
    Then it must contain breadth
    And its value must match the "^(narrow|administrator)$" regex

  Scenario: No grant makes an administrator
    Given I have google_grant defined
    Then it must contain breadth
    And its value must match the "^(narrow|basic)$" regex

  Scenario: Service accounts have no keys
    Given I have platform defined
    Then it must contain static_keys
    And its value must be 0

  Scenario: Spark's nodes carry an account of their own
    Given I have google_dataproc_cluster defined
    Then it must contain cluster_config
    And it must contain gce_cluster_config
    And it must contain service_account
    And its value must match the "^[^@]+@[^@.]+\.iam\.gserviceaccount\.com$" regex

  Scenario: From AWS comes one role of one account
    Given I have google_iam_workload_identity_pool_provider defined
    Then it must contain attribute_condition
    And its value must match the "^attribute\.role == 'arn:aws:sts::[0-9]{12}:assumed-role/[^/*']+'$" regex

  Scenario: A role on AWS trusts one account of Google
    Given I have iam_statement defined
    Then it must contain google
    And its value must match the "^(not google|account [0-9]{21})$" regex

  Scenario: No statement on AWS allows actions by pattern
    Given I have iam_statement defined
    Then it must contain wildcard_action
    And its value must be false

  Scenario: No statement on AWS allows every resource
    Given I have iam_statement defined
    Then it must contain wildcard_resource
    And its value must be false

  Scenario: Keys on AWS are used by alias
    Given I have iam_statement defined
    Then it must contain keys
    And its value must match the "^(none or named|by alias)$" regex
