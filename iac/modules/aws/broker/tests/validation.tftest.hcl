# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name                        = "souk-dev"
  vpc_id                      = "vpc-1"
  subnet_ids                  = ["subnet-1", "subnet-2", "subnet-3"]
  workloads_security_group_id = "sg-1"
  instance_type               = "kafka.t3.small"
  key_arn                     = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
  log_key_arn                 = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
  alarm_topic_arn             = "arn:aws:sns:ap-south-1:111111111111:alarms"
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
    name = "souk_dev"
  }

  expect_failures = [var.name]
}

run "refuses_subnet_ids" {
  command = plan

  variables {
    subnet_ids = ["subnet-1"]
  }

  expect_failures = [var.subnet_ids]
}

run "refuses_client_cidrs" {
  command = plan

  variables {
    client_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.client_cidrs]
}

run "refuses_kafka_version" {
  command = plan

  variables {
    kafka_version = "2.8.1"
  }

  expect_failures = [var.kafka_version]
}

run "refuses_instance_type" {
  command = plan

  variables {
    instance_type = "kafka.m7g.16xlarge"
  }

  expect_failures = [var.instance_type]
}

run "refuses_storage_gib" {
  command = plan

  variables {
    storage_gib = 1
  }

  expect_failures = [var.storage_gib]
}

run "refuses_log_retention_days" {
  command = plan

  variables {
    log_retention_days = 1
  }

  expect_failures = [var.log_retention_days]
}

run "refuses_vpc_id" {
  command = plan

  variables {
    vpc_id = "subnet-1"
  }

  expect_failures = [var.vpc_id]
}

run "refuses_workloads_security_group_id" {
  command = plan

  variables {
    workloads_security_group_id = "vpc-1"
  }

  expect_failures = [var.workloads_security_group_id]
}

run "refuses_key_arn" {
  command = plan

  variables {
    key_arn = "alias/souk"
  }

  expect_failures = [var.key_arn]
}

run "refuses_log_key_arn" {
  command = plan

  variables {
    log_key_arn = "alias/souk"
  }

  expect_failures = [var.log_key_arn]
}

run "refuses_alarm_topic_arn" {
  command = plan

  variables {
    alarm_topic_arn = "alarms"
  }

  expect_failures = [var.alarm_topic_arn]
}
