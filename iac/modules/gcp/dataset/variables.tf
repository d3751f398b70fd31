variable "name" {
  description = "Name of the dataset."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,99}$", var.name))
    error_message = "name must be 1 to 100 lower-case letters, digits and underscores, starting with a letter."
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

variable "description" {
  description = "What it holds."
  type        = string

  validation {
    condition     = length(trimspace(var.description)) >= 3 && length(var.description) <= 200
    error_message = "description must say what it holds, in 3 to 200 characters."
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

variable "tables" {
  description = "Tables by name: columns in order, the time column to partition by, clustering, and days after which a partition goes (null for never)."
  type = map(object({
    description              = string
    partition_by             = string
    clustering               = optional(list(string), [])
    expire_days              = optional(number)
    require_partition_filter = optional(bool, false)
    columns = list(object({
      name        = string
      type        = string
      mode        = optional(string, "NULLABLE")
      description = optional(string)
    }))
  }))

  validation {
    condition = alltrue([
      for table in values(var.tables) : contains([
        for column in table.columns : column.name if contains(["TIMESTAMP", "DATE", "DATETIME"], column.type)
      ], table.partition_by)
    ])
    error_message = "tables must be partitioned by a column of type TIMESTAMP, DATE or DATETIME that they have."
  }

  validation {
    condition     = alltrue([for table in values(var.tables) : alltrue([for column in table.columns : contains(["NULLABLE", "REQUIRED", "REPEATED"], column.mode)])])
    error_message = "tables must have columns of mode NULLABLE, REQUIRED or REPEATED."
  }
}

variable "access" {
  description = "Who may do what: an IAM member and a role on data."
  type        = map(object({ member = string, role = string }))
  default     = {}

  validation {
    condition     = alltrue([for grant in values(var.access) : contains(["roles/bigquery.dataEditor", "roles/bigquery.dataViewer"], grant.role)])
    error_message = "access must give roles/bigquery.dataEditor or dataViewer: the dataset itself is Terraform's."
  }

  validation {
    condition     = alltrue([for grant in values(var.access) : !strcontains(grant.member, "allUsers") && !strcontains(grant.member, "allAuthenticatedUsers")])
    error_message = "access must be for named members, never allUsers or allAuthenticatedUsers."
  }
}

variable "allow_data_loss" {
  description = "Lets `terraform destroy` take the data along."
  type        = bool
  default     = false
}
