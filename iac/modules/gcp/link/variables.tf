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

variable "network_id" {
  description = "The network on Google Cloud."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/global/networks/[^/]+$", var.network_id))
    error_message = "network_id must be a network's id, as projects/<project>/global/networks/<name>."
  }
}

variable "router_name" {
  description = "Its router."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.router_name))
    error_message = "router_name must be the name of a router: up to 63 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "asn" {
  description = "BGP number of that router."
  type        = number
  default     = 64514

  validation {
    condition     = var.asn >= 64512 && var.asn <= 65534
    error_message = "asn must be a private one, 64512 to 65534."
  }
}

variable "aws_asn" {
  description = "BGP number on the side of AWS."
  type        = number
  default     = 64512

  validation {
    condition     = var.aws_asn >= 64512 && var.aws_asn <= 65534 && var.aws_asn != var.asn
    error_message = "aws_asn must be a private one, 64512 to 65534, and differ from asn."
  }
}

variable "vpc_id" {
  description = "The VPC on AWS."
  type        = string

  validation {
    condition     = can(regex("^vpc-[0-9a-f]{8,17}$", var.vpc_id))
    error_message = "vpc_id must be the id of a VPC such as vpc-0123456789abcdef0."
  }
}

variable "vpc_cidr" {
  description = "Its addresses."
  type        = string

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0))
    error_message = "vpc_cidr must be an IPv4 block such as 10.40.0.0/16."
  }
}

variable "route_table_id" {
  description = "Route table of the brokers' subnets."
  type        = string

  validation {
    condition     = can(regex("^rtb-[0-9a-f]{8,17}$", var.route_table_id))
    error_message = "route_table_id must be the id of a route table such as rtb-0123456789abcdef0."
  }
}
