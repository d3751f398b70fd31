# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

module "cluster" {
  source = "../"

  name            = "souk-prod"
  project         = "souk-prod-analytics"
  region          = "asia-south1"
  subnet_id       = "projects/souk-prod-analytics/regions/asia-south1/subnetworks/souk-prod-analytics"
  node_tag        = "souk-prod-nodes"
  bucket          = "souk-prod-analytics-staging"
  key_id          = "projects/souk-prod-analytics/locations/asia-south1/keyRings/souk-prod/cryptoKeys/data"
  service_account = "souk-prod-analytics@souk-prod-analytics.iam.gserviceaccount.com"
}
