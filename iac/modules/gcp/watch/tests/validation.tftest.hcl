# What the module takes, and each thing that it refuses.

mock_provider "google" {}

variables {
  name               = "souk-prod"
  project            = "souk-prod-analytics"
  project_number     = "123456789012"
  cluster            = "souk-prod"
  alarm_emails       = ["platform@souk.example"]
  billing_account    = "0123AB-4567CD-89EF01"
  monthly_budget_usd = 1500
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

run "refuses_project_number" {
  command = plan

  variables {
    project_number = "souk"
  }

  expect_failures = [var.project_number]
}

run "refuses_alarm_emails" {
  command = plan

  variables {
    alarm_emails = []
  }

  expect_failures = [var.alarm_emails]
}

run "refuses_billing_account" {
  command = plan

  variables {
    billing_account = "souk"
  }

  expect_failures = [var.billing_account]
}

run "refuses_monthly_budget_usd" {
  command = plan

  variables {
    monthly_budget_usd = 1
  }

  expect_failures = [var.monthly_budget_usd]
}

run "refuses_cluster" {
  command = plan

  variables {
    cluster = "Not A Name"
  }

  expect_failures = [var.cluster]
}
