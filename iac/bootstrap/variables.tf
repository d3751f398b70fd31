variable "project" {
  description = "First part of every name."
  type        = string
  default     = "souk"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.project))
    error_message = "project must be 2 to 12 lower-case letters and digits, starting with a letter."
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

variable "region" {
  description = "The AWS region."
  type        = string
  default     = "ap-south-1"

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.region))
    error_message = "region must be an AWS region such as ap-south-1."
  }
}

variable "owner" {
  description = "Team that answers for it; a tag."
  type        = string
  default     = "platform"

  validation {
    condition     = length(var.owner) > 0
    error_message = "owner must name a team: what nobody owns, nobody mends."
  }
}

variable "cost_center" {
  description = "Who pays; a tag."
  type        = string
  default     = "shop"

  validation {
    condition     = length(var.cost_center) > 0
    error_message = "cost_center must not be empty."
  }
}
