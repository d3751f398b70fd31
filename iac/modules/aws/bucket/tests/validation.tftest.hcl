# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name    = "souk-dev-images"
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
    name = "Souk.Images"
  }

  expect_failures = [var.name]
}

run "refuses_old_versions_days" {
  command = plan

  variables {
    old_versions_days = 1
  }

  expect_failures = [var.old_versions_days]
}

run "refuses_infrequent_after_days" {
  command = plan

  variables {
    infrequent_after_days = 7
  }

  expect_failures = [var.infrequent_after_days]
}

run "refuses_expire_after_days" {
  command = plan

  variables {
    expire_after_days = 7
  }

  expect_failures = [var.expire_after_days]
}

run "refuses_browser_origins" {
  command = plan

  variables {
    browser_origins = ["*"]
  }

  expect_failures = [var.browser_origins]
}

run "refuses_key_arn" {
  command = plan

  variables {
    key_arn = "alias/souk"
  }

  expect_failures = [var.key_arn]
}
