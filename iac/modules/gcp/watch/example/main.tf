# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

module "watch" {
  source = "../"

  name               = "souk-prod"
  project            = "souk-prod-analytics"
  project_number     = "123456789012"
  cluster            = "souk-prod"
  alarm_emails       = ["platform@souk.example"]
  billing_account    = "0123AB-4567CD-89EF01"
  monthly_budget_usd = 1500
}
