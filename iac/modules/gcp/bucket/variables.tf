variable "name" {
  description = "Name of the bucket, unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 63 lower-case letters, digits and hyphens."
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

variable "old_versions_days" {
  description = "How long a replaced or deleted object is kept."
  type        = number
  default     = 30

  validation {
    condition     = var.old_versions_days >= 7
    error_message = "old_versions_days must be at least 7: a weekend is over before anyone looks."
  }
}

variable "expire" {
  description = "Days after which objects go, by prefix."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for days in values(var.expire) : days >= 1])
    error_message = "expire must give at least 1 day to each prefix."
  }
}

variable "access" {
  description = "Who may do what: a service account, a role on objects, and the prefix that it is for (null for all)."
  type        = map(object({ member = string, role = string, prefix = optional(string) }))
  default     = {}

  validation {
    condition     = alltrue([for grant in values(var.access) : contains(["roles/storage.objectUser", "roles/storage.objectViewer", "roles/storage.objectCreator"], grant.role)])
    error_message = "access must give roles/storage.objectUser, objectViewer or objectCreator: administration of the bucket is Terraform's."
  }

  validation {
    condition     = alltrue([for grant in values(var.access) : endswith(grant.member, ".gserviceaccount.com")])
    error_message = "access must be for service accounts, which end in .gserviceaccount.com: people come through groups of the project."
  }
}

variable "allow_data_loss" {
  description = "Lets `terraform destroy` take the data along."
  type        = bool
  default     = false
}
