# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

module "job" {
  source = "../"

  name        = "souk-prod-analytics"
  project     = "souk-prod-analytics"
  region      = "asia-south1"
  cluster     = "souk-prod"
  bucket      = "souk-prod-analytics-staging"
  release     = "0.1.0"
  environment = { SOUK_LOG_FORMAT = "json" }
}
