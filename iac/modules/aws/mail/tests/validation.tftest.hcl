# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name   = "souk-dev"
  domain = "souk.example"
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
    name = "souk dev"
  }

  expect_failures = [var.name]
}

run "refuses_domain" {
  command = plan

  variables {
    domain = "souk"
  }

  expect_failures = [var.domain]
}
