# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

module "identity" {
  source = "../"

  name           = "souk-prod-release"
  description    = "Releases of the job"
  project        = "souk-prod-analytics"
  project_number = "123456789012"
  project_roles  = ["roles/dataproc.worker"]
  aws_role       = { account_id = "333333333333", name = "souk-prod-deployer" }
}
