output "email" {
  description = "Address of the account."
  value       = local.email
  depends_on  = [google_service_account.this]
}

output "unique_id" {
  description = "Number of the account, which AWS knows it by."
  value       = google_service_account.this.unique_id
}

output "audience" {
  description = "What a workload on AWS asks Google's token service for; null without one."
  value       = var.aws_role == null ? null : "//iam.googleapis.com/projects/${var.project_number}/locations/global/workloadIdentityPools/${var.name}-aws/providers/aws"
}
