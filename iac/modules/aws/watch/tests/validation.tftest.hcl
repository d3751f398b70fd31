# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name               = "souk-dev"
  region             = "ap-south-1"
  account_id         = "111111111111"
  key_id             = "alias/souk-dev-data"
  alarm_emails       = ["platform@souk.example"]
  monthly_budget_usd = 800
}

run "example_works" {
  command = plan

  module {
    source = "./example"
  }
}

run "refuses_alarm_emails" {
  command = plan

  variables {
    alarm_emails = []
  }

  expect_failures = [var.alarm_emails]
}

run "refuses_monthly_budget_usd" {
  command = plan

  variables {
    monthly_budget_usd = 0
  }

  expect_failures = [var.monthly_budget_usd]
}

run "refuses_name" {
  command = plan

  variables {
    name = "Souk"
  }

  expect_failures = [var.name]
}

run "refuses_region" {
  command = plan

  variables {
    region = "Mumbai"
  }

  expect_failures = [var.region]
}

run "refuses_account_id" {
  command = plan

  variables {
    account_id = "12345"
  }

  expect_failures = [var.account_id]
}

run "refuses_key_id" {
  command = plan

  variables {
    key_id = "souk"
  }

  expect_failures = [var.key_id]
}
