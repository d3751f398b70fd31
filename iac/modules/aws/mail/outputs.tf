output "dkim_records" {
  description = "CNAME records that prove the domain to be ours; put them into its DNS."
  value = {
    for token in try(aws_sesv2_email_identity.this.dkim_signing_attributes[0].tokens, []) :
    "${token}._domainkey.${var.domain}" => "${token}.dkim.amazonses.com"
  }
}
