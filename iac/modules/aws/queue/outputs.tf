output "name" {
  description = "Name of the queue."
  value       = aws_sqs_queue.this.name
}

output "arn" {
  description = "ARN of the queue."
  value       = aws_sqs_queue.this.arn
}

output "url" {
  description = "URL of the queue."
  value       = aws_sqs_queue.this.url
}

output "max_receives" {
  description = "How often a message is given out before it goes to the dead letters."
  value       = var.max_receives
}

output "dead_letters_name" {
  description = "Name of the dead-letter queue."
  value       = aws_sqs_queue.dead.name
}
