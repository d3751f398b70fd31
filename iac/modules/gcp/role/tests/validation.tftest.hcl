# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name           = "souk-prod-analytics"
  prefix         = "souk-prod-"
  kafka          = "souk-prod"
  region         = "ap-south-1"
  account_id     = "333333333333"
  google_account = "111222333444555666777"
  audience       = "souk-prod"
  reads          = ["orders"]
  writes         = ["analytics-results"]
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
    account_id = "1234"
  }

  expect_failures = [var.account_id]
}

run "refuses_google_account" {
  command = plan

  variables {
    google_account = "1234"
  }

  expect_failures = [var.google_account]
}

run "refuses_reads" {
  command = plan

  variables {
    reads = ["*"]
  }

  expect_failures = [var.reads]
}

run "refuses_writes" {
  command = plan

  variables {
    writes = []
  }

  expect_failures = [var.writes]
}

run "refuses_prefix" {
  command = plan

  variables {
    prefix = "souk"
  }

  expect_failures = [var.prefix]
}

run "refuses_kafka" {
  command = plan

  variables {
    kafka = "a cluster"
  }

  expect_failures = [var.kafka]
}

run "refuses_audience" {
  command = plan

  variables {
    audience = "a b"
  }

  expect_failures = [var.audience]
}
