terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50"
    }
  }

  # The same bucket as for the stack on AWS: one place for state, locked and encrypted. environments/<environment>.s3.tfbackend
  # names it.
  backend "s3" {}
}

provider "google" {
  project               = var.gcp_project
  region                = var.region
  billing_project       = var.gcp_project
  user_project_override = true
  default_labels        = local.labels
}

# The other end of the link, and the job's role there.
provider "aws" {
  region              = var.aws_region
  allowed_account_ids = [var.aws_account_id]

  default_tags {
    tags = local.labels
  }
}
