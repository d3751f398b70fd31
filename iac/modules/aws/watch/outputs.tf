output "alarm_topic_arn" {
  description = "SNS topic that alarms go to."
  value       = aws_sns_topic.alarms.arn
}
