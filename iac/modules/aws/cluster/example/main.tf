# The least that the module takes; `terraform init && terraform plan` works here.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "cluster" {
  source = "../"

  name                        = "souk-dev"
  kubernetes_version          = "1.35"
  subnet_ids                  = ["subnet-1", "subnet-2"]
  workloads_security_group_id = "sg-1"
  instance_types              = ["t4g.large"]
  key_arn                     = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
  log_key_arn                 = "arn:aws:kms:ap-south-1:111111111111:key/11111111-1111-1111-1111-111111111111"
}
