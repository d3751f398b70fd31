# A service account without keys: the machines that carry it get their tokens from Google, and a role on AWS may
# take it by workload identity federation.

resource "google_service_account" "this" {
  project      = var.project
  account_id   = var.name
  display_name = var.description
}

resource "google_project_iam_member" "this" {
  for_each = toset(var.project_roles)

  project = var.project
  role    = each.key
  member  = "serviceAccount:${local.email}"

  depends_on = [google_service_account.this]
}

resource "google_iam_workload_identity_pool" "this" {
  count = var.aws_role == null ? 0 : 1

  project                   = var.project
  workload_identity_pool_id = "${var.name}-aws"
  display_name              = "AWS"
  description               = "One role of one AWS account"
}

resource "google_iam_workload_identity_pool_provider" "this" {
  #checkov:skip=CKV_GCP_125:the provider is AWS and not GitHub, and its condition names one role of one account
  count = var.aws_role == null ? 0 : 1

  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.this[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "aws"
  display_name                       = "AWS"
  attribute_condition                = "attribute.role == '${local.aws_session}'"

  # A session is "arn:aws:sts::<account>:assumed-role/<role>/<session>"; what counts is the role.
  attribute_mapping = {
    "google.subject" = "assertion.arn"
    "attribute.role" = "assertion.arn.extract('{account}assumed-role/') + 'assumed-role/' + assertion.arn.extract('assumed-role/{role}/')"
  }

  aws {
    account_id = var.aws_role.account_id
  }
}

resource "google_service_account_iam_member" "this" {
  count = var.aws_role == null ? 0 : 1

  service_account_id = "projects/${var.project}/serviceAccounts/${local.email}"
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/projects/${var.project_number}/locations/global/workloadIdentityPools/${google_iam_workload_identity_pool.this[0].workload_identity_pool_id}/attribute.role/${local.aws_session}"

  depends_on = [google_service_account.this]
}

# Put together from the name, so that rights are known, and can be judged by the policies, before anything exists.
locals {
  email       = "${var.name}@${var.project}.iam.gserviceaccount.com"
  aws_session = var.aws_role == null ? "" : "arn:aws:sts::${var.aws_role.account_id}:assumed-role/${var.aws_role.name}"
}
