variable "name" {
  description = "Name of the secret."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,255}$", var.name))
    error_message = "name must be 1 to 255 letters, digits, hyphens and underscores."
  }
}

variable "description" {
  description = "What it is."
  type        = string

  validation {
    condition     = length(trimspace(var.description)) >= 3 && length(var.description) <= 200
    error_message = "description must say what it is, in 3 to 200 characters."
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

variable "region" {
  description = "The Google Cloud region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a Google Cloud region such as asia-south1."
  }
}

variable "key_id" {
  description = "KMS key, as projects/P/locations/L/keyRings/R/cryptoKeys/K."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.key_id))
    error_message = "key_id must be the whole name of a KMS key: projects/P/locations/L/keyRings/R/cryptoKeys/K."
  }
}

variable "readers" {
  description = "Service accounts that may read it."
  type        = list(string)

  validation {
    condition     = alltrue([for address in var.readers : endswith(address, ".gserviceaccount.com")])
    error_message = "readers must be service accounts, which end in .gserviceaccount.com."
  }
}

variable "allow_data_loss" {
  description = "Lets `terraform destroy` take the data along."
  type        = bool
  default     = false
}
