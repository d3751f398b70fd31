# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name        = "souk-dev-data"
  description = "Orders"
  account_id  = "111111111111"
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
    name = "Souk Data"
  }

  expect_failures = [var.name]
}

run "refuses_description" {
  command = plan

  variables {
    description = ""
  }

  expect_failures = [var.description]
}

run "refuses_account_id" {
  command = plan

  variables {
    account_id = "1234"
  }

  expect_failures = [var.account_id]
}

run "refuses_services" {
  command = plan

  variables {
    services = ["logs.example.com"]
  }

  expect_failures = [var.services]
}
