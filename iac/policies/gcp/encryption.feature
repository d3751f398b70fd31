Feature: Encryption at rest and in transit on Google Cloud
  Google encrypts everything; with a key of ours, it can be taken away from whoever holds the rest.

  Scenario: Buckets are encrypted with a key of ours
    Given I have google_storage_bucket defined
    Then it must contain encryption
    And it must contain default_kms_key_name
    And its value must match the "^projects/.+/cryptoKeys/.+$" regex

  Scenario: Datasets are encrypted with a key of ours
    Given I have google_bigquery_dataset defined
    Then it must contain default_encryption_configuration
    And it must contain kms_key_name
    And its value must match the "^projects/.+/cryptoKeys/.+$" regex

  Scenario: Warehouse tables are encrypted with a key of ours
    Given I have google_bigquery_table defined
    Then it must contain encryption_configuration
    And it must contain kms_key_name
    And its value must match the "^projects/.+/cryptoKeys/.+$" regex

  Scenario: Spark's discs are encrypted with a key of ours
    Given I have google_dataproc_cluster defined
    Then it must contain cluster_config
    And it must contain encryption_config
    And it must contain kms_key_name
    And its value must match the "^projects/.+/cryptoKeys/.+$" regex

  Scenario: Secrets are encrypted with a key of ours
    Given I have google_secret_manager_secret defined
    Then it must contain key
    And its value must match the "^projects/.+/cryptoKeys/.+$" regex

  Scenario: Keys are rotated each quarter
    Given I have google_kms_crypto_key defined
    Then it must contain rotation_period
    And its value must match the "^[1-7]?[0-9]{1,6}s$" regex

  Scenario: Tunnels speak the newer key exchange
    Given I have google_compute_vpn_tunnel defined
    Then it must contain ike_version
    And its value must be 2

  Scenario: Tunnels on AWS take no old key exchange
    Given I have aws_vpn_connection defined
    Then it must contain exchange
    And its value must match the "^ikev2$" regex
