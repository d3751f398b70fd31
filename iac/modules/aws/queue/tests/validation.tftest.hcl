# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name            = "souk-dev-notifications"
  region          = "ap-south-1"
  account_id      = "111111111111"
  key_id          = "alias/souk-dev-data"
  alarm_topic_arn = "arn:aws:sns:ap-south-1:111111111111:alarms"
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
    name = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"
  }

  expect_failures = [var.name]
}

run "refuses_account_id" {
  command = plan

  variables {
    account_id = "1234"
  }

  expect_failures = [var.account_id]
}

run "refuses_max_receives" {
  command = plan

  variables {
    max_receives = 0
  }

  expect_failures = [var.max_receives]
}

run "refuses_visibility_seconds" {
  command = plan

  variables {
    visibility_seconds = 50000
  }

  expect_failures = [var.visibility_seconds]
}

run "refuses_retention_seconds" {
  command = plan

  variables {
    retention_seconds = 60
  }

  expect_failures = [var.retention_seconds]
}

run "refuses_alarm_age_seconds" {
  command = plan

  variables {
    alarm_age_seconds = 1
  }

  expect_failures = [var.alarm_age_seconds]
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
    key_id = "souk"
  }

  expect_failures = [var.key_id]
}

run "refuses_alarm_topic_arn" {
  command = plan

  variables {
    alarm_topic_arn = "alarms"
  }

  expect_failures = [var.alarm_topic_arn]
}
