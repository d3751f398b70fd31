# A queue with its dead letters: what cannot be handled waits there, and someone is told.

locals {
  dead_name = "${var.name}-dlq"
}

resource "aws_sqs_queue" "dead" {
  name                              = local.dead_name
  message_retention_seconds         = 1209600
  kms_master_key_id                 = var.key_id
  kms_data_key_reuse_period_seconds = 300

  tags = { role = "dead-letters" }
}

resource "aws_sqs_queue" "this" {
  name                              = var.name
  message_retention_seconds         = var.retention_seconds
  visibility_timeout_seconds        = var.visibility_seconds
  receive_wait_time_seconds         = 20
  kms_master_key_id                 = var.key_id
  kms_data_key_reuse_period_seconds = 300

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = var.max_receives
  })

  tags = { role = "queue" }
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = ["arn:aws:sqs:${var.region}:${var.account_id}:${var.name}"]
  })
}

data "aws_iam_policy_document" "tls" {
  for_each = toset([var.name, local.dead_name])

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = ["arn:aws:sqs:${var.region}:${var.account_id}:${each.key}"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "this" {
  queue_url = aws_sqs_queue.this.id
  policy    = data.aws_iam_policy_document.tls[var.name].json
}

resource "aws_sqs_queue_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id
  policy    = data.aws_iam_policy_document.tls[local.dead_name].json
}

resource "aws_cloudwatch_metric_alarm" "dead" {
  alarm_name          = "${local.dead_name}-not-empty"
  alarm_description   = "Messages that could not be handled wait in ${local.dead_name}: read them, mend the cause, redrive."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "age" {
  alarm_name          = "${var.name}-waiting"
  alarm_description   = "The oldest message of ${var.name} waits too long: its consumer is slow, throttled or down."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.this.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.alarm_age_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
