# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name               = "souk-dev-deployer"
  region             = "ap-south-1"
  account_id         = "111111111111"
  repository         = "souk-example/souk"
  environment        = "dev"
  image_repositories = ["souk-dev/svc-user"]
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
    name = "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
  }

  expect_failures = [var.name]
}

run "refuses_repository" {
  command = plan

  variables {
    repository = "souk-example/*"
  }

  expect_failures = [var.repository]
}

run "refuses_environment" {
  command = plan

  variables {
    environment = "*"
  }

  expect_failures = [var.environment]
}

run "refuses_image_repositories" {
  command = plan

  variables {
    image_repositories = ["*"]
  }

  expect_failures = [var.image_repositories]
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
