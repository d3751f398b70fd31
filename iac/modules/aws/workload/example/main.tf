# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "workload" {
  source = "../"

  name            = "souk-dev-svc-user"
  account_id      = "111111111111"
  cluster_name    = "souk-dev"
  namespace       = "souk"
  service_account = "svc-user"
  permissions     = { Read = { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::souk-dev-images/*"] } }
}
