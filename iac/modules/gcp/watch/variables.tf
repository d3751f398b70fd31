variable "name" {
  description = "Prefix of every name, e.g. `souk-prod`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,49}$", var.name)) && !endswith(var.name, "-")
    error_message = "name must be 2 to 50 lower-case letters, digits and hyphens, starting with a letter and not ending in a hyphen."
  }
}

variable "project" {
  description = "The Google Cloud project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be the id of a Google Cloud project: 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "project_number" {
  description = "Number of the project."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number must be the digits that Google gave the project."
  }
}

variable "cluster" {
  description = "Name of the Dataproc cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,52}[a-z0-9]$", var.cluster))
    error_message = "cluster must be the name of a Dataproc cluster: 3 to 54 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "alarm_emails" {
  description = "Who is told."
  type        = list(string)

  validation {
    condition     = length(var.alarm_emails) >= 1 && alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+[.][^@ ]+$", address))])
    error_message = "alarm_emails must be at least one mail address: an alarm that nobody hears is none."
  }
}

variable "billing_account" {
  description = "Billing account of the project."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account must be a billing account such as 0123AB-4567CD-89EF01."
  }
}

variable "monthly_budget_usd" {
  description = "What a month may cost before somebody is told."
  type        = number

  validation {
    condition     = var.monthly_budget_usd >= 10 && floor(var.monthly_budget_usd) == var.monthly_budget_usd
    error_message = "monthly_budget_usd must be a whole number of at least 10."
  }
}
