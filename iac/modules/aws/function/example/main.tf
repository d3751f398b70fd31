# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "function" {
  source = "../"

  name            = "souk-dev-notify"
  region          = "ap-south-1"
  account_id      = "111111111111"
  package         = "${path.module}/main.tf" # any file will do for a plan
  handler         = "handler.handle"
  queue_name      = "souk-dev-notifications"
  queue_arn       = "arn:aws:sqs:ap-south-1:111111111111:souk-dev-notifications"
  key_arn         = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
  key_alias       = "alias/souk-dev-data"
  log_key_arn     = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
  alarm_topic_arn = "arn:aws:sns:ap-south-1:111111111111:alarms"
}
