variable "name" {
  description = "Prefix of every name, e.g. `souk-prod`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,31}$", var.name)) && !endswith(var.name, "-")
    error_message = "name must be 2 to 32 lower-case letters, digits and hyphens, starting with a letter and not ending in a hyphen."
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

variable "cidr" {
  description = "Addresses of the VPC."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "cidr must be an IPv4 block between /16 and /20, e.g. 10.20.0.0/16: smaller ones leave too few addresses for pods."
  }

  validation {
    condition     = try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false)
    error_message = "cidr must start at its own first address, e.g. 10.20.0.0/16 and not 10.20.1.0/16."
  }
}

variable "foreign_cidrs" {
  description = "Blocks that are or will be connected to this VPC, such as the analytics network in Google Cloud."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.foreign_cidrs : can(cidrhost(cidr, 0))])
    error_message = "foreign_cidrs must be IPv4 blocks such as 10.60.0.0/16."
  }

  # Two blocks overlap when both, cut to the shorter prefix of the two, start at the same address.
  validation {
    condition = alltrue([
      for cidr in var.foreign_cidrs : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.cidr)[1])}", 0)
        != cidrhost("${split("/", var.cidr)[0]}/${min(split("/", cidr)[1], split("/", var.cidr)[1])}", 0)
      , false)
    ])
    error_message = "foreign_cidrs must not overlap cidr: traffic between connected networks could not be routed."
  }
}

variable "zones" {
  description = "Availability zones, at least two and at most eight."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 8 && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones must name 2 to 8 different availability zones: with fewer than 2, the loss of one is the loss of all."
  }

  validation {
    condition     = alltrue([for zone in var.zones : startswith(zone, var.region)])
    error_message = "zones must lie in the region, e.g. ap-south-1a in ap-south-1."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone instead of one for all."
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "How long flow logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "log_retention_days must be 7, 14, 30, 60, 90, 180 or 365."
  }
}

variable "log_key_arn" {
  description = "KMS key of the flow logs."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.log_key_arn))
    error_message = "log_key_arn must be the ARN of a KMS key, arn:aws:kms:..."
  }
}
