# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
    google = {
      source = "hashicorp/google"
    }
  }
}

module "link" {
  source = "../"

  name           = "souk-prod"
  project        = "souk-prod-analytics"
  region         = "asia-south1"
  network_id     = "projects/souk-prod-analytics/global/networks/souk-prod"
  router_name    = "souk-prod"
  vpc_id         = "vpc-0123456789abcdef0"
  vpc_cidr       = "10.40.0.0/16"
  route_table_id = "rtb-0123456789abcdef0"
}
