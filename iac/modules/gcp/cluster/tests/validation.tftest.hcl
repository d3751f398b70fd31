# What the module takes, and each thing that it refuses.

mock_provider "google" {}

variables {
  name            = "souk-prod"
  project         = "souk-prod-analytics"
  region          = "asia-south1"
  subnet_id       = "projects/souk-prod-analytics/regions/asia-south1/subnetworks/souk-prod-analytics"
  node_tag        = "souk-prod-nodes"
  bucket          = "souk-prod-analytics-staging"
  key_id          = "projects/souk-prod-analytics/locations/asia-south1/keyRings/souk-prod/cryptoKeys/data"
  service_account = "souk-prod-analytics@souk-prod-analytics.iam.gserviceaccount.com"
}

run "example_works" {
  command = plan

  module {
    source = "./example"
  }
}

run "refuses_name" {
  command = plan

  variables {
    name = "Souk_Prod"
  }

  expect_failures = [var.name]
}

run "refuses_project" {
  command = plan

  variables {
    project = "Souk"
  }

  expect_failures = [var.project]
}

run "refuses_region" {
  command = plan

  variables {
    region = "Mumbai"
  }

  expect_failures = [var.region]
}

run "refuses_key_id" {
  command = plan

  variables {
    key_id = "data"
  }

  expect_failures = [var.key_id]
}

run "refuses_service_account" {
  command = plan

  variables {
    service_account = "123456789012-compute@developer.gserviceaccount.com"
  }

  expect_failures = [var.service_account]
}

run "refuses_image_version" {
  command = plan

  variables {
    image_version = "2.2-debian12"
  }

  expect_failures = [var.image_version]
}

run "refuses_machine_type" {
  command = plan

  variables {
    machine_type = "m1-megamem-96"
  }

  expect_failures = [var.machine_type]
}

run "refuses_disk_gib" {
  command = plan

  variables {
    disk_gib = 10
  }

  expect_failures = [var.disk_gib]
}

run "refuses_masters" {
  command = plan

  variables {
    masters = 2
  }

  expect_failures = [var.masters]
}

run "refuses_workers" {
  command = plan

  variables {
    workers = { min = 1, max = 4, secondary = 0 }
  }

  expect_failures = [var.workers]
}

run "refuses_workers_2" {
  command = plan

  variables {
    workers = { min = 2, max = 40, secondary = 40 }
  }

  expect_failures = [var.workers]
}

run "refuses_subnet_id" {
  command = plan

  variables {
    subnet_id = "default"
  }

  expect_failures = [var.subnet_id]
}

run "refuses_node_tag" {
  command = plan

  variables {
    node_tag = "Nodes!"
  }

  expect_failures = [var.node_tag]
}

run "refuses_bucket" {
  command = plan

  variables {
    bucket = "Not A Bucket"
  }

  expect_failures = [var.bucket]
}
