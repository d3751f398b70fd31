# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name        = "souk-dev"
  region      = "ap-south-1"
  account_id  = "111111111111"
  cidr        = "10.20.0.0/16"
  zones       = ["ap-south-1a", "ap-south-1b", "ap-south-1c"]
  log_key_arn = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
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
    name = "souk-dev-"
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

run "refuses_cidr_too_small" {
  command = plan

  variables {
    cidr = "10.20.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "refuses_cidr_not_at_its_start" {
  command = plan

  variables {
    cidr = "10.20.1.0/16"
  }

  expect_failures = [var.cidr]
}

run "refuses_foreign_cidrs_no_block" {
  command = plan

  variables {
    foreign_cidrs = ["somewhere"]
  }

  expect_failures = [var.foreign_cidrs]
}

run "refuses_foreign_cidrs_within" {
  command = plan

  variables {
    foreign_cidrs = ["10.20.128.0/20"]
  }

  expect_failures = [var.foreign_cidrs]
}

run "refuses_foreign_cidrs_around" {
  command = plan

  variables {
    foreign_cidrs = ["10.0.0.0/8"]
  }

  expect_failures = [var.foreign_cidrs]
}

run "refuses_zones_only_one" {
  command = plan

  variables {
    zones = ["ap-south-1a"]
  }

  expect_failures = [var.zones]
}

run "refuses_zones_of_another_region" {
  command = plan

  variables {
    zones = ["ap-south-1a", "eu-west-1b"]
  }

  expect_failures = [var.zones]
}

run "refuses_log_retention_days" {
  command = plan

  variables {
    log_retention_days = 1
  }

  expect_failures = [var.log_retention_days]
}

run "refuses_log_key_arn" {
  command = plan

  variables {
    log_key_arn = "alias/souk"
  }

  expect_failures = [var.log_key_arn]
}
