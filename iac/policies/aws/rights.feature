Feature: Least privilege
  Each role can do what its holder does, to what its holder does it to.

  Scenario: No statement allows actions by pattern
    Given I have iam_statement defined
    Then it must contain wildcard_action
    And its value must be false

  Scenario: No statement allows every resource where AWS can name one
    Given I have iam_statement defined
    Then it must contain wildcard_resource
    And its value must be false

  Scenario: Keys are used by alias
    Given I have iam_statement defined
    Then it must contain keys
    And its value must match the "^(none or named|by alias)$" regex

  Scenario: What controllers change carries their cluster's tag
    Given I have iam_statement defined
    Then it must contain bound
    And its value must match the "^(by tag|needs no tag)$" regex

  Scenario: Services act for our account only
    Given I have resource that supports acts_for defined
    Then it must contain acts_for
    And its value must match the "^(our account|no stranger)$" regex

  Scenario: Nobody trusts everybody
    Given I have resource that supports trusts defined
    Then it must contain trusts
    And its value must match the "^(holder|named)$" regex

  Scenario: GitHub's workflows come from one repository and environment
    Given I have iam_statement defined
    Then it must contain audience
    And its value must match the "^(not github|repo:[^*/]+/[^*:]+:environment:[a-z]+)$" regex

  Scenario: There are no static keys
    Given I have platform defined
    Then it must contain static_keys
    And its value must be 0

  Scenario: The cluster's rights come through access entries
    Given I have aws_eks_cluster defined
    Then it must contain access_config
    And it must contain authentication_mode
    And its value must match the "^API$" regex

  Scenario: Brokers ask for IAM
    Given I have aws_msk_cluster defined
    Then it must contain client_authentication
    And it must contain sasl
    And it must contain iam
    And its value must be true
