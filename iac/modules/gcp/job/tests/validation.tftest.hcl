# What the module takes, and each thing that it refuses.

mock_provider "google" {}

variables {
  name        = "souk-prod-analytics"
  project     = "souk-prod-analytics"
  region      = "asia-south1"
  cluster     = "souk-prod"
  bucket      = "souk-prod-analytics-staging"
  release     = "0.1.0"
  environment = { SOUK_LOG_FORMAT = "json" }
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

run "refuses_release" {
  command = plan

  variables {
    release = "latest"
  }

  expect_failures = [var.release]
}

run "refuses_connector" {
  command = plan

  variables {
    connector = "org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.3"
  }

  expect_failures = [var.connector]
}

run "refuses_kafka_login" {
  command = plan

  variables {
    kafka_login = "software.amazon.msk:aws-msk-iam-auth:1.1.9"
  }

  expect_failures = [var.kafka_login]
}

run "refuses_environment" {
  command = plan

  variables {
    environment = { PATH = "/" }
  }

  expect_failures = [var.environment]
}

run "refuses_executors" {
  command = plan

  variables {
    executors = 0
  }

  expect_failures = [var.executors]
}

run "refuses_cluster" {
  command = plan

  variables {
    cluster = "Not A Name"
  }

  expect_failures = [var.cluster]
}

run "refuses_bucket" {
  command = plan

  variables {
    bucket = "Not A Bucket"
  }

  expect_failures = [var.bucket]
}
