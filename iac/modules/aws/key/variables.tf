variable "name" {
  description = "Name of the key's alias, without `alias/`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,62}$", var.name))
    error_message = "name must be 2 to 63 lower-case letters, digits and hyphens, starting with a letter."
  }
}

variable "description" {
  description = "What the key encrypts."
  type        = string

  validation {
    condition     = length(var.description) > 0
    error_message = "description must say what the key encrypts."
  }
}

variable "account_id" {
  description = "The AWS account that owns the key."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be the 12 digits of an AWS account."
  }
}

variable "services" {
  description = "AWS service principals that encrypt with the key on the account's behalf."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for service in var.services : endswith(service, ".amazonaws.com")])
    error_message = "services must be service principals such as logs.ap-south-1.amazonaws.com."
  }
}

variable "allow_data_loss" {
  description = "Shortens the wait before a deleted key is gone for good, from 30 days to 7."
  type        = bool
  default     = false
}
