# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "watch" {
  source = "../"

  name               = "souk-dev"
  region             = "ap-south-1"
  account_id         = "111111111111"
  key_id             = "alias/souk-dev-data"
  alarm_emails       = ["platform@souk.example"]
  monthly_budget_usd = 800
}
