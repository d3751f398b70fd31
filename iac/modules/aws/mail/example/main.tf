# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "mail" {
  source = "../"

  name   = "souk-dev"
  domain = "souk.example"
}
