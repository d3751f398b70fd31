variable "name" {
  description = "Prefix of every name, e.g. `souk-prod`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,39}$", var.name))
    error_message = "name must be 2 to 40 lower-case letters, digits and hyphens, starting with a letter."
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
  description = "KMS key of the messages about alarms: alias, id or ARN."
  type        = string

  validation {
    condition     = can(regex("^(alias/|arn:[a-z-]+:kms:)", var.key_id))
    error_message = "key_id must be the alias (alias/...) or the ARN of a KMS key."
  }
}

variable "alarm_emails" {
  description = "Who is told about alarms and the budget."
  type        = list(string)

  validation {
    condition     = length(var.alarm_emails) >= 1 && length(var.alarm_emails) <= 10 && alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alarm_emails must be 1 to 10 e-mail addresses: an alarm that nobody gets is none."
  }
}

variable "monthly_budget_usd" {
  description = "What a month may cost, in US dollars."
  type        = number

  validation {
    condition     = var.monthly_budget_usd >= 1 && var.monthly_budget_usd <= 100000
    error_message = "monthly_budget_usd must be 1 to 100000."
  }
}
