# What the module takes, and each thing that it refuses.

mock_provider "google" {}

variables {
  name    = "souk-prod-analytics-staging"
  project = "souk-prod-analytics"
  region  = "asia-south1"
  key_id  = "projects/souk-prod-analytics/locations/asia-south1/keyRings/souk-prod/cryptoKeys/data"
  expire  = { "jobs/" = 30 }
  access  = { job = { member = "job@souk-prod-analytics.iam.gserviceaccount.com", role = "roles/storage.objectUser", prefix = "jobs/" } }
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
    name = "Souk_"
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

run "refuses_old_versions_days" {
  command = plan

  variables {
    old_versions_days = 1
  }

  expect_failures = [var.old_versions_days]
}

run "refuses_expire" {
  command = plan

  variables {
    expire = { "jobs/" = 0 }
  }

  expect_failures = [var.expire]
}

run "refuses_access" {
  command = plan

  variables {
    access = { all = { member = "job@souk-prod-analytics.iam.gserviceaccount.com", role = "roles/owner" } }
  }

  expect_failures = [var.access]
}

run "refuses_access_2" {
  command = plan

  variables {
    access = { all = { member = "allUsers", role = "roles/storage.objectViewer" } }
  }

  expect_failures = [var.access]
}
