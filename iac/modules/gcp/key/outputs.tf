output "id" {
  description = "Name of the key; known before it exists, and given out once its users may use it."
  value       = "projects/${var.project}/locations/${var.region}/keyRings/${google_kms_key_ring.this.name}/cryptoKeys/${google_kms_crypto_key.this.name}"
  depends_on  = [google_kms_crypto_key_iam_member.this]
}
