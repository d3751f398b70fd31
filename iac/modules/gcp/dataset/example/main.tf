# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

module "dataset" {
  source = "../"

  name        = "analytics"
  project     = "souk-prod-analytics"
  region      = "asia-south1"
  description = "Minutes of orders"
  key_id      = "projects/souk-prod-analytics/locations/asia-south1/keyRings/souk-prod/cryptoKeys/data"
  tables      = { minutes = { description = "Minutes", partition_by = "at", columns = [{ name = "at", type = "TIMESTAMP", mode = "REQUIRED" }] } }
  access      = { job = { member = "serviceAccount:job@souk-prod-analytics.iam.gserviceaccount.com", role = "roles/bigquery.dataEditor" } }
}
