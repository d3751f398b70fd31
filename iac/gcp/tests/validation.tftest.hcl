# What the stack refuses on top of what its modules refuse.

mock_provider "google" {}

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  environment        = "prod"
  owner              = "platform"
  cost_center        = "shop"
  gcp_project        = "souk-prod-analytics"
  gcp_project_number = "333333333333"
  billing_account    = "000000-000000-000000"
  aws_account_id     = "333333333333"
  cidr               = "10.60.32.0/20"
  machine_type       = "n2-standard-4"
  masters            = 3
  workers            = { min = 2, max = 6, secondary = 8 }
  job_release        = "0.1.0"
  job_account        = "103000000000000000000"
  results_days       = 730
  readers            = ["group:analysts@souk.example"]
  alarm_emails       = ["platform@souk.example"]
  monthly_budget_usd = 2000

  aws_side = {
    vpc_id          = "vpc-0123456789abcdef0"
    vpc_cidr        = "10.40.0.0/16"
    route_table_id  = "rtb-0123456789abcdef0"
    kafka_bootstrap = "b-1.souk.kafka.ap-south-1.amazonaws.com:9098"
  }
}

run "takes_what_is_allowed" {
  command = plan
}

run "has_no_role_on_aws_before_the_account_is_known" {
  command = plan

  variables {
    job_account = null
  }

  assert {
    condition     = output.job_role_arn == null
    error_message = "A role that trusts nobody yet must not exist."
  }
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
    cost_center = "Shop!"
  }

  expect_failures = [var.cost_center]
}

run "refuses_gcp_project" {
  command = plan

  variables {
    gcp_project = "Souk"
  }

  expect_failures = [var.gcp_project]
}

run "refuses_gcp_project_number" {
  command = plan

  variables {
    gcp_project_number = "souk"
  }

  expect_failures = [var.gcp_project_number]
}

run "refuses_billing_account" {
  command = plan

  variables {
    billing_account = "souk"
  }

  expect_failures = [var.billing_account]
}

run "refuses_region" {
  command = plan

  variables {
    region = "Mumbai"
  }

  expect_failures = [var.region]
}

run "refuses_aws_account_id" {
  command = plan

  variables {
    aws_account_id = "1234"
  }

  expect_failures = [var.aws_account_id]
}

run "refuses_aws_region" {
  command = plan

  variables {
    aws_region = "Mumbai"
  }

  expect_failures = [var.aws_region]
}

run "refuses_masters" {
  command = plan

  variables {
    masters = 1
  }

  expect_failures = [var.masters]
}

run "refuses_results_days" {
  command = plan

  variables {
    results_days = 1
  }

  expect_failures = [var.results_days]
}

run "refuses_readers" {
  command = plan

  variables {
    readers = ["allUsers"]
  }

  expect_failures = [var.readers]
}

run "refuses_aws_side" {
  command = plan

  variables {
    aws_side = { vpc_id = "vpc-0123456789abcdef0", vpc_cidr = "10.40.0.0/16", route_table_id = "rtb-0123456789abcdef0", kafka_bootstrap = "nowhere" }
  }

  expect_failures = [var.aws_side]
}
