# A place for a secret. Its value is put there by a person or a rotation, never by Terraform: state is readable.

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:RDS rotates the password it made; these are shared with others (a provider, a person) and change together with them

  name                    = var.name
  description             = var.description
  kms_key_id              = var.key_arn
  recovery_window_in_days = var.allow_data_loss ? 0 : 30
}
