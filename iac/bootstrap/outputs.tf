output "backend" {
  description = "What environments/<environment>.s3.tfbackend names."
  value = {
    bucket     = module.state.name
    kms_key_id = module.key.alias
    region     = var.region
  }
}
