output "name" {
  description = "Name of the cluster."
  value       = google_dataproc_cluster.this.name
}
