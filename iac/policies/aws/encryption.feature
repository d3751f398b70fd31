Feature: Encryption at rest and in transit
  Whoever gets hold of a disk, a backup or a packet reads nothing.

  Scenario: Tables are encrypted with a key of ours
    Given I have aws_dynamodb_table defined
    Then it must contain server_side_encryption
    And it must contain kms_key_arn
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: The database is encrypted
    Given I have aws_db_instance defined
    Then it must contain storage_encrypted
    And its value must be true

  Scenario: The database is encrypted with a key of ours
    Given I have aws_db_instance defined
    Then it must contain kms_key_id
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: The database's insights are encrypted with a key of ours
    Given I have aws_db_instance defined
    Then it must contain performance_insights_kms_key_id
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: The database's password is encrypted with a key of ours
    Given I have aws_db_instance defined
    Then it must contain master_user_secret_kms_key_id
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: The database's password is made and rotated by RDS
    Given I have aws_db_instance defined
    Then it must contain manage_master_user_password
    And its value must be true

  Scenario: Buckets are encrypted with KMS
    Given I have aws_s3_bucket defined
    Then it must contain encryption
    And its value must match the "^aws:kms(:dsse)?$" regex

  Scenario: Buckets are encrypted with a key of ours
    Given I have aws_s3_bucket defined
    Then it must contain key
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: Queues are encrypted with a key of ours
    Given I have aws_sqs_queue defined
    Then it must contain kms_master_key_id
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: Alarm topics are encrypted with a key of ours
    Given I have aws_sns_topic defined
    Then it must contain kms_master_key_id
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: Brokers encrypt their disks with a key of ours
    Given I have aws_msk_cluster defined
    Then it must contain encryption_info
    And it must contain encryption_at_rest_kms_key_arn
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: Kubernetes' secrets are encrypted with a key of ours
    Given I have aws_eks_cluster defined
    Then it must contain encryption_config
    And it must contain provider
    And it must contain key_arn
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: Nodes encrypt their disks
    Given I have aws_launch_template defined
    Then it must contain block_device_mappings
    And it must contain ebs
    And it must contain encrypted
    And its value must be true

  Scenario: Images are encrypted with KMS
    Given I have aws_ecr_repository defined
    Then it must contain encryption_configuration
    And it must contain encryption_type
    And its value must match the "^KMS$" regex

  Scenario: Images are encrypted with a key of ours
    Given I have aws_ecr_repository defined
    Then it must contain encryption_configuration
    And it must contain kms_key
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: Logs are encrypted with a key of ours
    Given I have aws_cloudwatch_log_group defined
    Then it must contain kms_key_id
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: Secrets are encrypted with a key of ours
    Given I have aws_secretsmanager_secret defined
    Then it must contain kms_key_id
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: A function's environment is encrypted with a key of ours
    Given I have aws_lambda_function defined
    Then it must contain kms_key_arn
    And its value must match the "^(arn:|alias/|[(]known after apply[)]).*" regex

  Scenario: Keys are rotated
    Given I have aws_kms_key defined
    Then it must contain enable_key_rotation
    And its value must be true

  Scenario: The database refuses connections without TLS
    Given I have aws_db_instance defined
    Then it must contain tls
    And its value must be forced

  Scenario: Brokers refuse connections without TLS
    Given I have aws_msk_cluster defined
    Then it must contain encryption_info
    And it must contain encryption_in_transit
    And it must contain client_broker
    And its value must match the "^TLS$" regex

  Scenario: Brokers talk to each other with TLS
    Given I have aws_msk_cluster defined
    Then it must contain encryption_info
    And it must contain encryption_in_transit
    And it must contain in_cluster
    And its value must be true

  Scenario: Buckets refuse requests without TLS
    Given I have aws_s3_bucket defined
    Then it must contain plain_text
    And its value must be denied

  Scenario: Queues refuse requests without TLS
    Given I have aws_sqs_queue defined
    Then it must contain plain_text
    And its value must be denied

  Scenario: Alarm topics refuse requests without TLS
    Given I have aws_sns_topic defined
    Then it must contain plain_text
    And its value must be denied

  Scenario: Mails travel with TLS or not at all
    Given I have aws_sesv2_configuration_set defined
    Then it must contain delivery_options
    And it must contain tls_policy
    And its value must match the "^REQUIRE$" regex
