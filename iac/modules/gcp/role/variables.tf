variable "name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9-]{1,64}$", var.name))
    error_message = "name must be 1 to 64 letters, digits and hyphens."
  }
}

variable "prefix" {
  description = "Prefix of the names on AWS, e.g. `souk-prod-`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}-$", var.prefix))
    error_message = "prefix must be 3 to 32 lower-case letters, digits and hyphens, beginning with a letter, with a hyphen at its end."
  }
}

variable "kafka" {
  description = "Name of the MSK cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9][a-zA-Z0-9-]{0,63}$", var.kafka))
    error_message = "kafka must be the name of an MSK cluster: up to 64 letters, digits and hyphens."
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

variable "google_account" {
  description = "Number (unique id) of the service account on Google Cloud."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{21}$", var.google_account))
    error_message = "google_account must be the 21 digits of a service account's unique id."
  }
}

variable "audience" {
  description = "Audience that its tokens are made for."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9._/:-]{3,255}$", var.audience))
    error_message = "audience must be 3 to 255 letters, digits and any of . _ / : -, as a token names it."
  }
}

variable "reads" {
  description = "Topics that it reads."
  type        = list(string)

  validation {
    condition     = length(var.reads) >= 1 && !contains(var.reads, "*")
    error_message = "reads must name topics, at least one and none by pattern."
  }
}

variable "writes" {
  description = "Topics that it writes."
  type        = list(string)

  validation {
    condition     = length(var.writes) >= 1 && !contains(var.writes, "*")
    error_message = "writes must name topics, at least one and none by pattern."
  }
}
