# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "broker" {
  source = "../"

  name                        = "souk-dev"
  vpc_id                      = "vpc-1"
  subnet_ids                  = ["subnet-1", "subnet-2", "subnet-3"]
  workloads_security_group_id = "sg-1"
  instance_type               = "kafka.t3.small"
  key_arn                     = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
  log_key_arn                 = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
  alarm_topic_arn             = "arn:aws:sns:ap-south-1:111111111111:alarms"
}
