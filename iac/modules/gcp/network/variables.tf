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

variable "cidr" {
  description = "Addresses of the subnet."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 24, false)
    error_message = "cidr must be an IPv4 block between /16 and /24, e.g. 10.60.0.0/20."
  }

  validation {
    condition     = try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false)
    error_message = "cidr must start at its own first address, e.g. 10.60.0.0/20 and not 10.60.1.0/20."
  }
}

variable "foreign_cidrs" {
  description = "Blocks that this network is connected to, such as the VPC on AWS."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([
      for cidr in var.foreign_cidrs : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.cidr)[1])}", 0)
        != cidrhost("${split("/", var.cidr)[0]}/${min(split("/", cidr)[1], split("/", var.cidr)[1])}", 0),
        false,
      )
    ])
    error_message = "foreign_cidrs must be IPv4 blocks that do not overlap cidr: what overlaps cannot be routed."
  }
}

variable "asn" {
  description = "BGP number of the router."
  type        = number
  default     = 64514

  validation {
    condition     = var.asn >= 64512 && var.asn <= 65534
    error_message = "asn must be a private one, 64512 to 65534."
  }
}
