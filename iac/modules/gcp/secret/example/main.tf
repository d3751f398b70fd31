# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

module "secret" {
  source = "../"

  name        = "souk-prod-kafka-client"
  description = "Login of the job"
  project     = "souk-prod-analytics"
  region      = "asia-south1"
  key_id      = "projects/souk-prod-analytics/locations/asia-south1/keyRings/souk-prod/cryptoKeys/data"
  readers     = ["job@souk-prod-analytics.iam.gserviceaccount.com"]
}
