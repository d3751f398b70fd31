# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "queue" {
  source = "../"

  name            = "souk-dev-notifications"
  region          = "ap-south-1"
  account_id      = "111111111111"
  key_id          = "alias/souk-dev-data"
  alarm_topic_arn = "arn:aws:sns:ap-south-1:111111111111:alarms"
}
