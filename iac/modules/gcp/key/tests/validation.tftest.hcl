# What the module takes, and each thing that it refuses.

mock_provider "google" {}

variables {
  name    = "souk-prod"
  project = "souk-prod-analytics"
  region  = "asia-south1"
  users   = { storage = "service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
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

run "refuses_users" {
  command = plan

  variables {
    users = { me = "me@souk.example" }
  }

  expect_failures = [var.users]
}
