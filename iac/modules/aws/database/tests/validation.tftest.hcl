# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name                        = "souk-dev"
  account_id                  = "111111111111"
  vpc_id                      = "vpc-1"
  subnet_ids                  = ["subnet-1", "subnet-2"]
  workloads_security_group_id = "sg-1"
  instance_class              = "db.t4g.small"
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
    name = "souk--dev"
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

run "refuses_engine_version" {
  command = plan

  variables {
    engine_version = "13"
  }

  expect_failures = [var.engine_version]
}

run "refuses_instance_class" {
  command = plan

  variables {
    instance_class = "db.r7g.16xlarge"
  }

  expect_failures = [var.instance_class]
}

run "refuses_storage_gib" {
  command = plan

  variables {
    storage_gib = 5
  }

  expect_failures = [var.storage_gib]
}

run "refuses_backup_days" {
  command = plan

  variables {
    backup_days = 0
  }

  expect_failures = [var.backup_days]
}

run "refuses_log_retention_days" {
  command = plan

  variables {
    log_retention_days = 1
  }

  expect_failures = [var.log_retention_days]
}

run "refuses_account_id" {
  command = plan

  variables {
    account_id = "12345"
  }

  expect_failures = [var.account_id]
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
