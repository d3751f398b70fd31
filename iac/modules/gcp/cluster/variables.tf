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

variable "region" {
  description = "The Google Cloud region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a Google Cloud region such as asia-south1."
  }
}

variable "subnet_id" {
  description = "The subnet."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/regions/[^/]+/subnetworks/[^/]+$", var.subnet_id))
    error_message = "subnet_id must be a subnet's id, as projects/<project>/regions/<region>/subnetworks/<name>."
  }
}

variable "node_tag" {
  description = "Tag that lets nodes speak to each other."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.node_tag))
    error_message = "node_tag must be a network tag: up to 63 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "bucket" {
  description = "Bucket for staging, checkpoints and logs."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket must be the name of a bucket: 3 to 63 lower-case letters, digits and hyphens, no hyphen first or last."
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

variable "service_account" {
  description = "Account that the nodes carry."
  type        = string

  validation {
    condition     = endswith(var.service_account, ".iam.gserviceaccount.com")
    error_message = "service_account must be one of the project's own, which ends in .iam.gserviceaccount.com: the default one may do too much."
  }
}

variable "image_version" {
  description = "Dataproc image; it brings Spark, Scala, Java and Python."
  type        = string
  default     = "3.0-debian13"

  validation {
    condition     = contains(["3.0-debian13", "3.0-ubuntu24", "3.0-rocky9"], var.image_version)
    error_message = "image_version must be 3.0-debian13, 3.0-ubuntu24 or 3.0-rocky9: the job needs Spark 4 and Java 17 or newer, which 2.x images do not have."
  }
}

variable "machine_type" {
  description = "Size of the nodes."
  type        = string
  default     = "n2-standard-4"

  validation {
    condition     = can(regex("^(n2|n2d|n4|c3|e2)-(standard|highmem)-[0-9]+$", var.machine_type))
    error_message = "machine_type must be a standard or highmem size of n2, n2d, n4, c3 or e2, e.g. n2-standard-4."
  }
}

variable "disk_gib" {
  description = "Boot disc of each node."
  type        = number
  default     = 200

  validation {
    condition     = var.disk_gib >= 100 && var.disk_gib <= 2000
    error_message = "disk_gib must be 100 to 2000."
  }
}

variable "masters" {
  description = "How many masters."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 3], var.masters)
    error_message = "masters must be 1 or 3; Dataproc has no other number."
  }
}

variable "workers" {
  description = "Least and most primary workers, and most secondary ones."
  type        = object({ min = number, max = number, secondary = number })
  default     = { min = 2, max = 4, secondary = 4 }

  validation {
    condition     = var.workers.min >= 2 && var.workers.min <= var.workers.max
    error_message = "workers must be at least 2 (min), and max no less than min."
  }

  validation {
    condition     = var.workers.max + var.workers.secondary <= 50
    error_message = "workers must be 50 at most, primary and secondary together: more is a decision, not a load."
  }
}
