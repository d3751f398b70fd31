output "settings" {
  description = "What the job is told (SOUK_* variables)."
  value       = local.settings
}

output "job_account" {
  description = "Number of the job's service account: set it as `job_account`, and apply again."
  value       = module.job_identity.unique_id
}

output "job" {
  description = "Id of the running job; null until `job_release` names one."
  value       = module.job.id
}

output "job_role_arn" {
  description = "Role of the job on AWS; null until `job_account` is set."
  value       = try(module.role[0].arn, null)
}

output "staging_bucket" {
  description = "Bucket that releases go to."
  value       = module.staging.name
}

output "dataset" {
  description = "The dataset and its tables."
  value       = { id = module.dataset.id, tables = module.dataset.tables }
}

output "secrets" {
  description = "Names of the secrets to be filled in, by logical name."
  value       = { for secret, made in module.secret : secret => made.name }
}

output "release" {
  description = "What the workflow that releases the job needs: whose place it takes, and what it asks Google's token service for."
  value = {
    service_account = module.release_identity.email
    audience        = module.release_identity.audience
  }
}

output "tunnels" {
  description = "Tunnels to AWS."
  value       = module.link.tunnels
}
