output "arn" {
  description = "ARN of the cluster."
  value       = aws_msk_cluster.this.arn
}

output "bootstrap" {
  description = "Bootstrap addresses for IAM over TLS."
  value       = aws_msk_cluster.this.bootstrap_brokers_sasl_iam
}
