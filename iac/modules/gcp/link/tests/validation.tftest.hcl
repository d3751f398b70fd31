# What the module takes, and each thing that it refuses.

mock_provider "aws" {}

mock_provider "google" {}

variables {
  name           = "souk-prod"
  project        = "souk-prod-analytics"
  region         = "asia-south1"
  network_id     = "projects/souk-prod-analytics/global/networks/souk-prod"
  router_name    = "souk-prod"
  vpc_id         = "vpc-0123456789abcdef0"
  vpc_cidr       = "10.40.0.0/16"
  route_table_id = "rtb-0123456789abcdef0"
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
    name = "Souk_Prod"
  }

  expect_failures = [var.name]
}

run "refuses_project" {
  command = plan

  variables {
    project = "Souk"
  }

  expect_failures = [var.project]
}

run "refuses_region" {
  command = plan

  variables {
    region = "Mumbai"
  }

  expect_failures = [var.region]
}

run "refuses_asn" {
  command = plan

  variables {
    asn = 15169
  }

  expect_failures = [var.asn]
}

run "refuses_aws_asn" {
  command = plan

  variables {
    aws_asn = 64514
  }

  expect_failures = [var.aws_asn]
}

run "refuses_vpc_id" {
  command = plan

  variables {
    vpc_id = "souk"
  }

  expect_failures = [var.vpc_id]
}

run "refuses_vpc_cidr" {
  command = plan

  variables {
    vpc_cidr = "10.40.0.0"
  }

  expect_failures = [var.vpc_cidr]
}

run "refuses_route_table_id" {
  command = plan

  variables {
    route_table_id = "souk"
  }

  expect_failures = [var.route_table_id]
}

run "refuses_network_id" {
  command = plan

  variables {
    network_id = "default"
  }

  expect_failures = [var.network_id]
}

run "refuses_router_name" {
  command = plan

  variables {
    router_name = "Router!"
  }

  expect_failures = [var.router_name]
}
