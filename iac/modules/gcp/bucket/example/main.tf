# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

module "bucket" {
  source = "../"

  name    = "souk-prod-analytics-staging"
  project = "souk-prod-analytics"
  region  = "asia-south1"
  key_id  = "projects/souk-prod-analytics/locations/asia-south1/keyRings/souk-prod/cryptoKeys/data"
  expire  = { "jobs/" = 30 }
  access  = { job = { member = "job@souk-prod-analytics.iam.gserviceaccount.com", role = "roles/storage.objectUser", prefix = "jobs/" } }
}
