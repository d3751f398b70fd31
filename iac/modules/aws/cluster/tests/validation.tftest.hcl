# What the module takes, and each thing that it refuses.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_eks_cluster" {
    defaults = {
      vpc_config = {
        cluster_security_group_id = "sg-2"
      }
    }
  }
}

variables {
  name                        = "souk-dev"
  kubernetes_version          = "1.35"
  subnet_ids                  = ["subnet-1", "subnet-2"]
  workloads_security_group_id = "sg-1"
  instance_types              = ["t4g.large"]
  key_arn                     = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
  log_key_arn                 = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
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
    name = "Souk"
  }

  expect_failures = [var.name]
}

run "refuses_kubernetes_version" {
  command = plan

  variables {
    kubernetes_version = "1.31"
  }

  expect_failures = [var.kubernetes_version]
}

run "refuses_subnet_ids" {
  command = plan

  variables {
    subnet_ids = ["subnet-1"]
  }

  expect_failures = [var.subnet_ids]
}

run "refuses_public_access_cidrs" {
  command = plan

  variables {
    public_access_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.public_access_cidrs]
}

run "refuses_administrators" {
  command = plan

  variables {
    administrators = { me = "arn:aws:iam::111111111111:user/me" }
  }

  expect_failures = [var.administrators]
}

run "refuses_instance_types" {
  command = plan

  variables {
    instance_types = ["m7g.16xlarge"]
  }

  expect_failures = [var.instance_types]
}

run "refuses_ami_type" {
  command = plan

  variables {
    ami_type = "AL2_x86_64"
  }

  expect_failures = [var.ami_type]
}

run "refuses_nodes" {
  command = plan

  variables {
    nodes = { min = 5, desired = 3, max = 4 }
  }

  expect_failures = [var.nodes]
}

run "refuses_log_retention_days" {
  command = plan

  variables {
    log_retention_days = 1
  }

  expect_failures = [var.log_retention_days]
}

run "refuses_workloads_security_group_id" {
  command = plan

  variables {
    workloads_security_group_id = "vpc-1"
  }

  expect_failures = [var.workloads_security_group_id]
}

run "refuses_instance_tags" {
  command = plan

  variables {
    instance_tags = { owner = "" }
  }

  expect_failures = [var.instance_tags]
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
