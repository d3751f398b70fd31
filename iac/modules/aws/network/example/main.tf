# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "network" {
  source = "../"

  name        = "souk-dev"
  region      = "ap-south-1"
  account_id  = "111111111111"
  cidr        = "10.20.0.0/16"
  zones       = ["ap-south-1a", "ap-south-1b", "ap-south-1c"]
  log_key_arn = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
}
