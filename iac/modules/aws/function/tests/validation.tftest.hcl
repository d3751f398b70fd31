# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name            = "souk-dev-notify"
  region          = "ap-south-1"
  account_id      = "111111111111"
  package         = "main.tf"
  handler         = "handler.handle"
  queue_name      = "souk-dev-notifications"
  queue_arn       = "arn:aws:sqs:ap-south-1:111111111111:souk-dev-notifications"
  key_arn         = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
  key_alias       = "alias/souk-dev-data"
  log_key_arn     = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
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
    name = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
  }

  expect_failures = [var.name]
}

run "refuses_package" {
  command = plan

  variables {
    package = "missing.zip"
  }

  expect_failures = [var.package]
}

run "refuses_runtime" {
  command = plan

  variables {
    runtime = "python3.8"
  }

  expect_failures = [var.runtime]
}

run "refuses_timeout_seconds" {
  command = plan

  variables {
    timeout_seconds = 1000
  }

  expect_failures = [var.timeout_seconds]
}

run "refuses_concurrency" {
  command = plan

  variables {
    concurrency = 1
  }

  expect_failures = [var.concurrency]
}

run "refuses_permissions" {
  command = plan

  variables {
    permissions = { All = { actions = ["*"], resources = ["*"] } }
  }

  expect_failures = [var.permissions]
}

run "refuses_key_alias" {
  command = plan

  variables {
    key_alias = "souk-dev-data"
  }

  expect_failures = [var.key_alias]
}

run "refuses_log_retention_days" {
  command = plan

  variables {
    log_retention_days = 1
  }

  expect_failures = [var.log_retention_days]
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

run "refuses_handler" {
  command = plan

  variables {
    handler = "handle"
  }

  expect_failures = [var.handler]
}

run "refuses_environment" {
  command = plan

  variables {
    environment = { "2nd" = "x" }
  }

  expect_failures = [var.environment]
}

run "refuses_queue_name" {
  command = plan

  variables {
    queue_name = "a queue"
  }

  expect_failures = [var.queue_name]
}

run "refuses_queue_arn" {
  command = plan

  variables {
    queue_arn = "notifications"
  }

  expect_failures = [var.queue_arn]
}

run "refuses_key_arn" {
  command = plan

  variables {
    key_arn = "alias/souk"
  }

  expect_failures = [var.key_arn]
}

run "refuses_log_key_arn" {
  command = plan

  variables {
    log_key_arn = "alias/souk"
  }

  expect_failures = [var.log_key_arn]
}

run "refuses_alarm_topic_arn" {
  command = plan

  variables {
    alarm_topic_arn = "alarms"
  }

  expect_failures = [var.alarm_topic_arn]
}
