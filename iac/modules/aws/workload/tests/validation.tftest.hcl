# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name            = "souk-dev-svc-user"
  account_id      = "111111111111"
  cluster_name    = "souk-dev"
  namespace       = "souk"
  service_account = "svc-user"
  permissions     = { Read = { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::souk-dev-images/*"] } }
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
    name = "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"
  }

  expect_failures = [var.name]
}

run "refuses_namespace" {
  command = plan

  variables {
    namespace = "Souk"
  }

  expect_failures = [var.namespace]
}

run "refuses_service_account" {
  command = plan

  variables {
    service_account = "svc_user"
  }

  expect_failures = [var.service_account]
}

run "refuses_permissions" {
  command = plan

  variables {
    permissions = { All = { actions = ["s3:*"], resources = ["*"] } }
  }

  expect_failures = [var.permissions]
}

run "refuses_account_id" {
  command = plan

  variables {
    account_id = "12345"
  }

  expect_failures = [var.account_id]
}

run "refuses_cluster_name" {
  command = plan

  variables {
    cluster_name = "a cluster"
  }

  expect_failures = [var.cluster_name]
}
