output "host" {
  description = "Host name of the database."
  value       = aws_db_instance.this.address
}

output "port" {
  description = "Port of the database."
  value       = aws_db_instance.this.port
}

output "master_secret_arn" {
  description = "Secret with user and password of the master, rotated by RDS."
  value       = try(aws_db_instance.this.master_user_secret[0].secret_arn, null)
}
