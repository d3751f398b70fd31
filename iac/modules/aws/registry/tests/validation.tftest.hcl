# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name    = "souk-dev/svc-user"
  key_arn = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
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
    name = "SVC"
  }

  expect_failures = [var.name]
}

run "refuses_keep_images" {
  command = plan

  variables {
    keep_images = 1
  }

  expect_failures = [var.keep_images]
}

run "refuses_key_arn" {
  command = plan

  variables {
    key_arn = "alias/souk"
  }

  expect_failures = [var.key_arn]
}
