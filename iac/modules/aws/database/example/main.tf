# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "database" {
  source = "../"

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
