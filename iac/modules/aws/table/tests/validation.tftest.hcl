# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name    = "souk-dev-orders"
  key     = "order_id"
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
    name = "o"
  }

  expect_failures = [var.name]
}

run "refuses_key" {
  command = plan

  variables {
    key = ""
  }

  expect_failures = [var.key]
}

run "refuses_indexes" {
  command = plan

  variables {
    indexes = { for at in range(21) : "by-${at}" => { key = "k${at}" } }
  }

  expect_failures = [var.indexes]
}

run "refuses_sort" {
  command = plan

  variables {
    sort = ""
  }

  expect_failures = [var.sort]
}

run "refuses_ttl" {
  command = plan

  variables {
    ttl = ""
  }

  expect_failures = [var.ttl]
}

run "refuses_key_arn" {
  command = plan

  variables {
    key_arn = "alias/souk"
  }

  expect_failures = [var.key_arn]
}
