# What the module takes, and each thing that it refuses.

mock_provider "google" {}

variables {
  name        = "souk-prod-kafka-client"
  description = "Login of the job"
  project     = "souk-prod-analytics"
  region      = "asia-south1"
  key_id      = "projects/souk-prod-analytics/locations/asia-south1/keyRings/souk-prod/cryptoKeys/data"
  readers     = ["job@souk-prod-analytics.iam.gserviceaccount.com"]
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
    name = "a b"
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

run "refuses_readers" {
  command = plan

  variables {
    readers = ["me@souk.example"]
  }

  expect_failures = [var.readers]
}

run "refuses_description" {
  command = plan

  variables {
    description = ""
  }

  expect_failures = [var.description]
}
