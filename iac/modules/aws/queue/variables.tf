variable "name" {
  description = "Name of the queue, with its prefix; its dead letters are in `<name>-dlq`."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,76}$", var.name))
    error_message = "name must be 1 to 76 letters, digits, hyphens and underscores, so that <name>-dlq stays within SQS's 80."
  }
}

variable "region" {
  description = "The AWS region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.region))
    error_message = "region must be an AWS region such as ap-south-1."
  }
}

variable "account_id" {
  description = "The AWS account."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be the 12 digits of an AWS account."
  }
}

variable "key_id" {
  description = "KMS key of the messages: alias, id or ARN."
  type        = string

  validation {
    condition     = can(regex("^(alias/|arn:[a-z-]+:kms:)", var.key_id))
    error_message = "key_id must be the alias (alias/...) or the ARN of a KMS key."
  }
}

variable "max_receives" {
  description = "How often a message is given out before it goes to the dead letters; a stop of its consumer counts as well. Fewer where each is a try, as a function's are."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.max_receives >= 1 && var.max_receives <= 1000
    error_message = "max_receives must be 1 to 1000."
  }
}

variable "visibility_seconds" {
  description = "How long a message that was taken stays hidden; longer than its handler may run."
  type        = number
  default     = 60

  validation {
    condition     = var.visibility_seconds >= 1 && var.visibility_seconds <= 43200
    error_message = "visibility_seconds must be 1 to 43200, SQS's twelve hours."
  }
}

variable "retention_seconds" {
  description = "How long a message waits before it is dropped."
  type        = number
  default     = 345600

  validation {
    condition     = var.retention_seconds >= 86400 && var.retention_seconds <= 1209600
    error_message = "retention_seconds must be 86400 to 1209600: a day, so that a night's outage loses nothing, to SQS's two weeks."
  }
}

variable "alarm_age_seconds" {
  description = "Age of the oldest message that raises an alarm."
  type        = number
  default     = 300

  validation {
    condition     = var.alarm_age_seconds >= 60
    error_message = "alarm_age_seconds must be at least 60: the metric is a minute's."
  }
}

variable "alarm_topic_arn" {
  description = "SNS topic that alarms go to."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:sns:", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be the ARN of an SNS topic, arn:aws:sns:..."
  }
}
