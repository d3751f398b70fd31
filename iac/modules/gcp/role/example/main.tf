# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "role" {
  source = "../"

  name           = "souk-prod-analytics"
  prefix         = "souk-prod-"
  kafka          = "souk-prod"
  region         = "ap-south-1"
  account_id     = "333333333333"
  google_account = "111222333444555666777"
  audience       = "souk-prod"
  reads          = ["orders"]
  writes         = ["analytics-results"]
}
