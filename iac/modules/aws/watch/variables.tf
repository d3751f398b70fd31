variable "name" {
  description = "Prefix of every name, e.g. `souk-prod`."
  type        = string
}

variable "region" {
  description = "The AWS region."
  type        = string
}

variable "account_id" {
  description = "The AWS account."
  type        = string
}

variable "key_id" {
  description = "KMS key of the messages about alarms: alias, id or ARN."
  type        = string
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
