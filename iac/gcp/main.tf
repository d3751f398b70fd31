# The analytics on Google Cloud, in the order in which one would explain it.

resource "google_project_service" "this" {
  for_each = toset([
    "bigquery", "billingbudgets", "cloudkms", "compute", "dataproc", "iam", "iamcredentials", "logging", "monitoring",
    "secretmanager", "storage", "sts",
  ])

  project            = var.gcp_project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

# Who read what of the data: without it, Google keeps only who changed what.
resource "google_project_iam_audit_config" "this" {
  for_each = toset(["bigquery.googleapis.com", "storage.googleapis.com", "secretmanager.googleapis.com"])

  project = var.gcp_project
  service = each.key

  audit_log_config {
    log_type = "DATA_READ"
  }

  audit_log_config {
    log_type = "DATA_WRITE"
  }
}

module "key" {
  source = "../modules/gcp/key"

  name    = local.name
  project = var.gcp_project
  region  = var.region
  users   = local.agents

  depends_on = [google_project_service.this]
}

module "network" {
  source = "../modules/gcp/network"

  name          = local.name
  project       = var.gcp_project
  region        = var.region
  cidr          = var.cidr
  foreign_cidrs = [var.aws_side.vpc_cidr]
}

module "link" {
  source = "../modules/gcp/link"

  name           = local.name
  project        = var.gcp_project
  region         = var.region
  network_id     = module.network.id
  router_name    = module.network.router_name
  vpc_id         = var.aws_side.vpc_id
  vpc_cidr       = var.aws_side.vpc_cidr
  route_table_id = var.aws_side.route_table_id
}

# The job's account: a worker of Dataproc that starts BigQuery jobs. What it does to data is granted where the data is.
module "job_identity" {
  source = "../modules/gcp/identity"

  name           = "${local.name}-job"
  description    = "The analytics job and its cluster"
  project        = var.gcp_project
  project_number = var.gcp_project_number
  project_roles  = ["roles/bigquery.jobUser", "roles/dataproc.worker"]
}

# The account that releases the job: GitHub's workflow has the deployer's role on AWS, and nothing else may take this one.
module "release_identity" {
  source = "../modules/gcp/identity"

  name           = "${local.name}-release"
  description    = "Uploads releases of the job"
  project        = var.gcp_project
  project_number = var.gcp_project_number
  aws_role       = { account_id = var.aws_account_id, name = "${local.aws.prefix}deployer" }
}

module "staging" {
  source = "../modules/gcp/bucket"

  name            = "${var.gcp_project}-staging"
  project         = var.gcp_project
  region          = var.region
  key_id          = module.key.id
  expire          = { "google-cloud-dataproc-metainfo/" = 30, "spark-events/" = 14 }
  allow_data_loss = var.allow_data_loss

  access = {
    job     = { member = module.job_identity.email, role = "roles/storage.objectUser" }
    release = { member = module.release_identity.email, role = "roles/storage.objectCreator", prefix = "releases/" }
  }
}

module "dataset" {
  source = "../modules/gcp/dataset"

  name            = local.dataset
  description     = "What the job counts"
  project         = var.gcp_project
  region          = var.region
  key_id          = module.key.id
  tables          = local.tables
  allow_data_loss = var.allow_data_loss

  access = merge(
    { job = { member = "serviceAccount:${module.job_identity.email}", role = "roles/bigquery.dataEditor" } },
    { for reader in var.readers : reader => { member = reader, role = "roles/bigquery.dataViewer" } },
  )
}

module "secret" {
  source   = "../modules/gcp/secret"
  for_each = local.secrets

  name            = "${local.name}-${each.key}"
  description     = each.value
  project         = var.gcp_project
  region          = var.region
  key_id          = module.key.id
  readers         = [module.job_identity.email]
  allow_data_loss = var.allow_data_loss
}

module "cluster" {
  source = "../modules/gcp/cluster"

  name            = local.name
  project         = var.gcp_project
  region          = var.region
  subnet_id       = module.network.subnet_id
  node_tag        = module.network.node_tag
  bucket          = module.staging.name
  key_id          = module.key.id
  service_account = module.job_identity.email
  image_version   = var.image_version
  machine_type    = var.machine_type
  masters         = var.masters
  workers         = var.workers
}

module "job" {
  source = "../modules/gcp/job"

  name        = "${local.name}-analytics"
  project     = var.gcp_project
  region      = var.region
  cluster     = module.cluster.name
  bucket      = module.staging.name
  release     = var.job_release
  environment = merge(local.settings, local.launch)
}

# The job's role on AWS needs the number of its account on Google, which the first apply tells (output job_account).
module "role" {
  source = "../modules/gcp/role"
  count  = var.job_account == null ? 0 : 1

  name           = "${local.aws.prefix}analytics"
  prefix         = local.aws.prefix
  kafka          = local.aws.kafka
  region         = var.aws_region
  account_id     = var.aws_account_id
  google_account = var.job_account
  audience       = local.name
  reads          = local.topics.reads
  writes         = local.topics.writes
}

module "watch" {
  source = "../modules/gcp/watch"

  name               = local.name
  project            = var.gcp_project
  project_number     = var.gcp_project_number
  cluster            = module.cluster.name
  alarm_emails       = var.alarm_emails
  billing_account    = var.billing_account
  monthly_budget_usd = var.monthly_budget_usd
}
