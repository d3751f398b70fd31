# Once for each account, with a local state: the bucket that keeps the state of everything else, and its key.
# S3 itself locks the state (`use_lockfile`); no table is needed.

module "key" {
  source = "../modules/aws/key"

  name        = "${var.project}-terraform-state"
  description = "State of Terraform"
  account_id  = var.account_id
}

module "state" {
  source = "../modules/aws/bucket"

  name              = "${var.project}-terraform-state-${var.account_id}"
  key_arn           = module.key.arn
  old_versions_days = 365
}
