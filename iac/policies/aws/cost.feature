Feature: No surprise on the invoice

  Scenario: There is a budget
    Given I have platform defined
    Then it must contain budgets
    And its value must be greater and equal to 1

  Scenario: Somebody is told
    Given I have platform defined
    Then it must contain alarm_receivers
    And its value must be greater and equal to 1

  Scenario: Nodes grow to a limit
    Given I have aws_eks_node_group defined
    Then it must contain scaling_config
    And it must contain max_size
    And its value must be lesser and equal to 20

  Scenario: Nodes are of a size that was agreed
    Given I have aws_eks_node_group defined
    Then it must contain instance_types
    And its value must match the "^[a-z0-9]+\.(medium|large|xlarge|2xlarge)$" regex

  Scenario: The database is of a size that was agreed
    Given I have aws_db_instance defined
    Then it must contain instance_class
    And its value must match the "^db\.[a-z0-9]+\.(micro|small|medium|large|xlarge|2xlarge)$" regex

  Scenario: Tables cost what they are used
    Given I have aws_dynamodb_table defined
    Then it must contain billing_mode
    And its value must match the "^PAY_PER_REQUEST$" regex

  Scenario: Buckets drop what nobody needs
    Given I have aws_s3_bucket defined
    Then it must contain lifecycle
    And its value must be tidy

  Scenario: Repositories drop what nobody needs
    Given I have aws_ecr_repository defined
    Then it must contain lifecycle
    And its value must be tidy
