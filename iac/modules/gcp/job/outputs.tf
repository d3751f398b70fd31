output "id" {
  description = "Id of the job; null where none runs."
  value       = try(google_dataproc_job.this[0].reference[0].job_id, null)
}
