# What the module takes, and each thing that it refuses.

mock_provider "google" {}

variables {
  name          = "souk-prod"
  project       = "souk-prod-analytics"
  region        = "asia-south1"
  cidr          = "10.60.32.0/20"
  foreign_cidrs = ["10.40.0.0/16"]
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

run "refuses_cidr" {
  command = plan

  variables {
    cidr = "10.60.0.0/28"
  }

  expect_failures = [var.cidr]
}

run "refuses_cidr_2" {
  command = plan

  variables {
    cidr = "10.60.33.0/20"
  }

  expect_failures = [var.cidr]
}

run "refuses_foreign_cidrs" {
  command = plan

  variables {
    foreign_cidrs = ["10.60.0.0/16"]
  }

  expect_failures = [var.foreign_cidrs]
}

run "refuses_asn" {
  command = plan

  variables {
    asn = 15169
  }

  expect_failures = [var.asn]
}
