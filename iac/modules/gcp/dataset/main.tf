# A BigQuery dataset with its tables: partitioned, encrypted with a key of ours, written by the named accounts alone.

resource "google_bigquery_dataset" "this" {
  project                    = var.project
  dataset_id                 = var.name
  location                   = var.region
  description                = var.description
  delete_contents_on_destroy = var.allow_data_loss
  max_time_travel_hours      = "168"

  default_encryption_configuration {
    kms_key_name = var.key_id
  }
}

resource "google_bigquery_table" "this" {
  #checkov:skip=CKV_GCP_121:it is on unless allow_data_loss takes it off, which checkov does not follow
  for_each = var.tables

  project             = var.project
  dataset_id          = google_bigquery_dataset.this.dataset_id
  table_id            = each.key
  description         = each.value.description
  deletion_protection = !var.allow_data_loss
  clustering          = length(each.value.clustering) == 0 ? null : each.value.clustering

  schema = jsonencode([
    for column in each.value.columns : merge(
      { name = column.name, type = column.type, mode = column.mode },
      column.description == null ? {} : { description = column.description },
    )
  ])

  # A query that names no time would read, and cost, the whole table.
  require_partition_filter = each.value.require_partition_filter

  time_partitioning {
    type          = "DAY"
    field         = each.value.partition_by
    expiration_ms = each.value.expire_days == null ? null : each.value.expire_days * 86400000
  }

  encryption_configuration {
    kms_key_name = var.key_id
  }
}

resource "google_bigquery_dataset_iam_member" "this" {
  for_each = var.access

  project    = var.project
  dataset_id = google_bigquery_dataset.this.dataset_id
  role       = each.value.role
  member     = each.value.member
}
