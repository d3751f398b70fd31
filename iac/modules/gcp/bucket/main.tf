# A bucket: rights by IAM alone, never public, old versions kept for a while, encrypted with a key of ours.

resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:reads and writes are in the audit log of the project, which says more than an access log
  project                     = var.project
  name                        = var.name
  location                    = upper(var.region)
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.allow_data_loss

  versioning {
    enabled = true
  }

  # What is deleted by mistake comes back for a week, versions or not.
  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  encryption {
    default_kms_key_name = var.key_id
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = var.old_versions_days
    }

    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }

    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.expire

    content {
      condition {
        age            = lifecycle_rule.value
        matches_prefix = [lifecycle_rule.key]
      }

      action {
        type = "Delete"
      }
    }
  }
}

resource "google_storage_bucket_iam_member" "this" {
  for_each = var.access

  bucket = google_storage_bucket.this.name
  role   = each.value.role
  member = "serviceAccount:${each.value.member}"

  dynamic "condition" {
    for_each = each.value.prefix == null ? [] : [each.value.prefix]

    content {
      title      = "below ${condition.value}"
      expression = "resource.name.startsWith('projects/_/buckets/${var.name}/objects/${condition.value}')"
    }
  }
}
