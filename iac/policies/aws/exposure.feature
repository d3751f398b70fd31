Feature: Nothing is open that need not be
  The balancer is the one door to the world.

  Scenario: Only the balancer lets the world in
    Given I have network_door defined
    When its from is world
    Then it must contain leads_to
    And its value must be balancer

  Scenario: The default security group lets nobody in
    Given I have aws_default_security_group defined
    Then it must contain lets_in
    And its value must be nobody

  Scenario: The database has no public address
    Given I have aws_db_instance defined
    Then it must contain publicly_accessible
    And its value must be false

  Scenario: Brokers have no public address
    Given I have aws_msk_cluster defined
    Then it must contain broker_node_group_info
    And it must contain connectivity_info
    And it must contain public_access
    And it must contain type
    And its value must match the "^DISABLED$" regex

  Scenario: Brokers talk to nobody they do not know
    Given I have aws_msk_cluster defined
    Then it must contain client_authentication
    And it must contain unauthenticated
    And its value must be false

  Scenario: Buckets cannot be made public
    Given I have aws_s3_bucket defined
    Then it must contain public_access
    And its value must be blocked

  Scenario: The Kubernetes API is reached through the VPC
    Given I have aws_eks_cluster defined
    Then it must contain vpc_config
    And it must contain endpoint_public_access
    And its value must be false

  Scenario: Nodes hand out credentials by IMDSv2 only
    Given I have aws_launch_template defined
    Then it must contain metadata_options
    And it must contain http_tokens
    And its value must match the "^required$" regex
