# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

module "key" {
  source = "../"

  name    = "souk-prod"
  project = "souk-prod-analytics"
  region  = "asia-south1"
  users   = { storage = "service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
}
