# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "key" {
  source = "../"

  name        = "souk-dev-data"
  description = "Orders"
  account_id  = "111111111111"
}
