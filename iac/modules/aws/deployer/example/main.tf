# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "deployer" {
  source = "../"

  name               = "souk-dev-deployer"
  region             = "ap-south-1"
  account_id         = "111111111111"
  repository         = "souk-example/souk"
  environment        = "dev"
  image_repositories = ["souk-dev/svc-user"]
}
