Feature: It can be operated
  What happens is seen, what fails is kept, what runs is supported.

  Scenario: Everything says whose it is
    Given I have resource that supports tagged defined
    Then it must contain tagged
    And its value must be fully

  Scenario: Nodes say whose they are
    Given I have aws_launch_template defined
    Then it must contain makes
    And its value must match the "^tagged nodes$" regex

  Scenario: Logs are kept for a while, not for ever
    Given I have aws_cloudwatch_log_group defined
    Then it must contain retention_in_days
    And its value must be greater and equal to 7

  Scenario: Each queue has dead letters
    Given I have aws_sqs_queue defined
    Then it must contain dead_letters
    And its value must match the "^(is one|has some)$" regex

  Scenario: Dead letters come from their own queue
    Given I have aws_sqs_queue defined
    Then it must contain fed_by
    And its value must match the "^(its queue|those with the right)$" regex

  Scenario: Each queue has an alarm
    Given I have aws_sqs_queue defined
    Then it must contain alarmed
    And its value must be yes

  Scenario: A failed message comes back alone
    Given I have aws_lambda_event_source_mapping defined
    Then it must contain function_response_types
    And its value must match the "^ReportBatchItemFailures$" regex

  Scenario: A function's concurrency is reserved
    Given I have aws_lambda_function defined
    Then it must contain reserved_concurrent_executions
    And its value must be greater and equal to 1

  Scenario: A tag of an image means one image
    Given I have aws_ecr_repository defined
    Then it must contain image_tag_mutability
    And its value must match the "^IMMUTABLE$" regex

  Scenario: Images are scanned
    Given I have aws_ecr_repository defined
    Then it must contain image_scanning_configuration
    And it must contain scan_on_push
    And its value must be true

  Scenario: Traffic leaves a trace
    Given I have platform defined
    Then it must contain flow_logs
    And its value must be greater and equal to 1

  Scenario: The autoscalers of pods get their metrics
    Given I have platform defined
    Then it must contain pod_metrics
    And its value must be measured

  Scenario: Kubernetes is a supported version
    Given I have aws_eks_cluster defined
    Then it must contain version
    And its value must match the "^1\.3[4-6]$" regex

  Scenario: PostgreSQL is a supported version
    Given I have aws_db_instance defined
    Then it must contain engine_version
    And its value must match the "^1[6-8](\.[0-9]+)?$" regex

  Scenario: Kafka is a supported version
    Given I have aws_msk_cluster defined
    Then it must contain kafka_version
    And its value must match the "^(3\.9|4\.[01])\.x\.kraft$" regex

  Scenario: The function's runtime is a supported version
    Given I have aws_lambda_function defined
    Then it must contain runtime
    And its value must match the "^python3\.1[2-4]$" regex

  Scenario: The control plane says what was done
    Given I have aws_eks_cluster defined
    Then it must contain audit
    And its value must be logged

  Scenario: The database says where its time goes
    Given I have aws_db_instance defined
    Then it must contain performance_insights_enabled
    And its value must be true
