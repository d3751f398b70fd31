variable "name" {
  description = "Name of the function, with its prefix."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9-_]{1,64}$", var.name))
    error_message = "name must be 1 to 64 letters, digits, hyphens and underscores: Lambda's limit, and its role's."
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

variable "package" {
  description = "Path of the zip with the function's code."
  type        = string

  validation {
    condition     = fileexists(var.package)
    error_message = "package must be a zip that exists: build it with `python -m iac package`."
  }
}

variable "runtime" {
  description = "Lambda's runtime."
  type        = string
  default     = "python3.12"

  validation {
    condition     = contains(["python3.12", "python3.13", "python3.14"], var.runtime)
    error_message = "runtime must be python3.12, python3.13 or python3.14: the ones that AWS supports."
  }
}

variable "handler" {
  description = "Module and function that take an event."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z_][A-Za-z0-9_]*[.][A-Za-z_][A-Za-z0-9_]*$", var.handler))
    error_message = "handler must be module.function, as in handler.handle."
  }
}

variable "timeout_seconds" {
  description = "How long an invocation may take."
  type        = number
  default     = 30

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900
    error_message = "timeout_seconds must be 1 to 900, Lambda's quarter of an hour."
  }
}

variable "concurrency" {
  description = "Reserved concurrency: the most that runs at once, and what nobody else can take away."
  type        = number
  default     = 10

  validation {
    condition     = var.concurrency >= 3 && var.concurrency <= 1000
    error_message = "concurrency must be 3 to 1000: a queue's mapping takes 2 at least, and one stays for a redrive by hand."
  }
}

variable "environment" {
  description = "Environment variables of the function."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[A-Za-z][A-Za-z0-9_]*$", name))])
    error_message = "environment must be named in letters, digits and underscores, starting with a letter."
  }
}

variable "queue_name" {
  description = "Name of the queue that feeds the function."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,80}$", var.queue_name))
    error_message = "queue_name must be 1 to 80 letters, digits, hyphens and underscores."
  }
}

variable "queue_arn" {
  description = "ARN of the queue that feeds the function."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:sqs:", var.queue_arn))
    error_message = "queue_arn must be the ARN of an SQS queue, arn:aws:sqs:..."
  }
}

variable "permissions" {
  description = "What the function may do besides taking messages and writing logs, by statement id."
  type        = map(object({ actions = list(string), resources = list(string) }))
  default     = {}

  validation {
    condition     = alltrue(flatten([for grant in var.permissions : [for word in concat(grant.actions, grant.resources) : word != "*"]]))
    error_message = "permissions must name their actions and resources; * alone is not allowed."
  }
}

variable "key_arn" {
  description = "KMS key of the environment variables."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.key_arn))
    error_message = "key_arn must be the ARN of a KMS key, arn:aws:kms:..."
  }
}

variable "key_alias" {
  description = "Alias of the KMS key of the stores and queues that the function uses."
  type        = string

  validation {
    condition     = startswith(var.key_alias, "alias/")
    error_message = "key_alias must begin with alias/."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "log_retention_days must be 7, 14, 30, 60, 90, 180 or 365."
  }
}

variable "log_key_arn" {
  description = "KMS key of the logs."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.log_key_arn))
    error_message = "log_key_arn must be the ARN of a KMS key, arn:aws:kms:..."
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
