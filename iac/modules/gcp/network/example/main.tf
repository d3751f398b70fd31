# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

module "network" {
  source = "../"

  name          = "souk-prod"
  project       = "souk-prod-analytics"
  region        = "asia-south1"
  cidr          = "10.60.32.0/20"
  foreign_cidrs = ["10.40.0.0/16"]
}
