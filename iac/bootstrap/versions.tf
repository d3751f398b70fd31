terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      project     = var.project
      environment = "shared"
      owner       = var.owner
      cost-center = var.cost_center
      managed-by  = "terraform"
    }
  }
}
