Feature: Google Cloud can be operated

  Scenario: Everything says whose it is
    Given I have resource that supports tagged defined
    Then it must contain tagged
    And its value must match the "^fully$" regex

  Scenario: Subnets log their flows
    Given I have google_compute_subnetwork defined
    Then it must contain log_config
    And it must contain flow_sampling
    And its value must be greater than 0

  Scenario: Reads of data are logged
    Given I have platform defined
    Then it must contain reads_logged
    And its value must match the "^bigquery, secretmanager, storage$" regex

  Scenario: Alarms tell somebody
    Given I have google_monitoring_alert_policy defined
    Then it must contain tells
    And its value must match the "^somebody$" regex

  Scenario: The job, the cluster and the link are watched
    Given I have platform defined
    Then it must contain watched
    And its value must match the "^failed_count, pending_memory_size, tunnel_established$" regex

  Scenario: Spark is of a version that is supported
    Given I have google_dataproc_cluster defined
    Then it must contain cluster_config
    And it must contain software_config
    And it must contain image_version
    And its value must match the "^3\.[0-9]+-(debian13|ubuntu24|rocky9)$" regex

  Scenario: The link to AWS has four ends
    Given I have google_compute_external_vpn_gateway defined
    Then it must contain redundancy_type
    And its value must match the "^FOUR_IPS_REDUNDANCY$" regex
