# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "registry" {
  source = "../"

  name    = "souk-dev/svc-user"
  key_arn = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
}
