Feature: Nothing on Google Cloud is public

  Scenario: Buckets cannot be made public
    Given I have google_storage_bucket defined
    Then it must contain public_access_prevention
    And its value must match the "^enforced$" regex

  Scenario: Rights on objects come by IAM alone
    Given I have google_storage_bucket defined
    Then it must contain uniform_bucket_level_access
    And its value must be true

  Scenario: Nothing is granted to everybody
    Given I have google_grant defined
    Then it must contain to
    And its value must match the "^named$" regex

  Scenario: No door is open to the world
    Given I have network_door defined
    Then it must contain from
    And its value must match the "^known networks$" regex

  Scenario: Spark's nodes have no public addresses
    Given I have google_dataproc_cluster defined
    Then it must contain cluster_config
    And it must contain gce_cluster_config
    And it must contain internal_ip_only
    And its value must be true

  Scenario: Spark's nodes start verified
    Given I have google_dataproc_cluster defined
    Then it must contain cluster_config
    And it must contain gce_cluster_config
    And it must contain shielded_instance_config
    And it must contain enable_secure_boot
    And its value must be true

  Scenario: Subnets reach Google without the internet
    Given I have google_compute_subnetwork defined
    Then it must contain private_ip_google_access
    And its value must be true

  Scenario: Networks have the subnets that were planned
    Given I have google_compute_network defined
    Then it must contain auto_create_subnetworks
    And its value must be false

  Scenario: From AWS comes the route to its VPC and no other
    Given I have google_compute_router_peer defined
    Then it must contain takes
    And its value must match the "^some routes$" regex
