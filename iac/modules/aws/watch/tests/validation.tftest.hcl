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

run "takes_what_is_allowed" {
  command = plan
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
