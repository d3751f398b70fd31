# What the stack refuses on top of what its modules refuse.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_eks_cluster" {
    defaults = {
      vpc_config = { cluster_security_group_id = "sg-2" }
    }
  }
}

variables {
  environment             = "prod"
  account_id              = "333333333333"
  owner                   = "platform"
  cost_center             = "shop"
  cidr                    = "10.40.0.0/16"
  zones                   = ["ap-south-1a", "ap-south-1b", "ap-south-1c"]
  nat_per_zone            = true
  node_instance_types     = ["m7g.xlarge"]
  database_instance_class = "db.m7g.large"
  database_multi_az       = true
  broker_instance_type    = "kafka.m7g.large"
  notify_package          = "main.tf"
  mail_domain             = "souk.example"
  browser_origins         = ["https://souk.example"]
  github_repository       = "souk-example/souk"
  alarm_emails            = ["platform@souk.example"]
  monthly_budget_usd      = 4000
}

run "takes_what_is_allowed" {
  command = plan
}

run "refuses_project" {
  command = plan

  variables {
    project = "souk-shop"
  }

  expect_failures = [var.project]
}

run "refuses_environment" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "refuses_account_id" {
  command = plan

  variables {
    account_id = "1234"
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

run "refuses_zones" {
  command = plan

  variables {
    zones = ["ap-south-1a", "ap-south-1b"]
  }

  expect_failures = [var.zones]
}

run "refuses_nat_per_zone" {
  command = plan

  variables {
    nat_per_zone = false
  }

  expect_failures = [var.nat_per_zone]
}

run "refuses_database_multi_az" {
  command = plan

  variables {
    database_multi_az = false
  }

  expect_failures = [var.database_multi_az]
}
