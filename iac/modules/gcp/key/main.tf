# A key of ours: rotated, and used by the Google services that are named, each for the project's own data.

# Key rings and keys outlive everything: Google deletes none.
resource "google_kms_key_ring" "this" {
  project  = var.project
  name     = var.name
  location = var.region
}

resource "google_kms_crypto_key" "this" {
  #checkov:skip=CKV_GCP_82:Google deletes no key, and keeps each version for 30 days after Terraform lets go of it
  name                       = "data"
  key_ring                   = google_kms_key_ring.this.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = "7776000s"
  destroy_scheduled_duration = "2592000s"
}

resource "google_kms_crypto_key_iam_member" "this" {
  for_each = var.users

  crypto_key_id = google_kms_crypto_key.this.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value}"
}
