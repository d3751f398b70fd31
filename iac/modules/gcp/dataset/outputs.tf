output "id" {
  description = "Name of the dataset."
  value       = google_bigquery_dataset.this.dataset_id
}

output "tables" {
  description = "Names of the tables."
  value       = { for table, made in google_bigquery_table.this : table => made.table_id }
}
