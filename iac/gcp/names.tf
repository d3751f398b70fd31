# Every name and label is made here, and nowhere else. Addresses of service accounts are made from names, so that rights
# are known, and can be judged by the policies, before anything exists.

locals {
  name = "${var.project}-${var.environment}"

  labels = {
    project     = var.project
    environment = var.environment
    owner       = var.owner
    cost-center = var.cost_center
    managed-by  = "terraform"
  }

  # Google's own accounts in our project; each appears when its API is first used.
  agents = {
    storage  = "service-${var.gcp_project_number}@gs-project-accounts.iam.gserviceaccount.com"
    bigquery = "bq-${var.gcp_project_number}@bigquery-encryption.iam.gserviceaccount.com"
    compute  = "service-${var.gcp_project_number}@compute-system.iam.gserviceaccount.com"
    dataproc = "service-${var.gcp_project_number}@dataproc-accounts.iam.gserviceaccount.com"
    secrets  = "service-${var.gcp_project_number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
  }

  # Names that the stack on AWS gives.
  aws = {
    prefix = "${local.name}-"
    kafka  = local.name
  }
}
