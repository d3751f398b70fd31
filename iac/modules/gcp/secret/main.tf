# A secret: its value comes from a person or a rotation, never from Terraform; who reads it is named one by one.

resource "google_secret_manager_secret" "this" {
  project             = var.project
  secret_id           = var.name
  deletion_protection = !var.allow_data_loss
  version_destroy_ttl = "604800s"

  annotations = { purpose = var.description }

  # In one region: a copy elsewhere would be a copy more to guard.
  replication {
    user_managed {
      replicas {
        location = var.region

        customer_managed_encryption {
          kms_key_name = var.key_id
        }
      }
    }
  }
}

resource "google_secret_manager_secret_iam_member" "this" {
  for_each = toset(var.readers)

  project   = var.project
  secret_id = google_secret_manager_secret.this.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${each.key}"
}
