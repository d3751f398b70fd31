# What the bootstrap takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  account_id = "111111111111"
}

run "takes_what_is_allowed" {
  command = plan
}

run "refuses_project" {
  command = plan

  variables {
    project = "Souk-Shop"
  }

  expect_failures = [var.project]
}

run "refuses_account_id" {
  command = plan

  variables {
    account_id = "12345"
  }

  expect_failures = [var.account_id]
}

run "refuses_region" {
  command = plan

  variables {
    region = "Mumbai"
  }

  expect_failures = [var.region]
}

run "refuses_owner" {
  command = plan

  variables {
    owner = ""
  }

  expect_failures = [var.owner]
}

run "refuses_cost_center" {
  command = plan

  variables {
    cost_center = ""
  }

  expect_failures = [var.cost_center]
}
