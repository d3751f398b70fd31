variable "name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,64}$", var.name))
    error_message = "name must be 1 to 64 letters, digits, hyphens and underscores: IAM's limit."
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

variable "create_provider" {
  description = "Whether GitHub's identity provider is made here; an account can have it only once."
  type        = bool
  default     = true
}

variable "repository" {
  description = "The GitHub repository whose workflows may take the role."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository must be owner/name, without *: anybody can make a repository whose name fits a pattern."
  }
}

variable "environment" {
  description = "The GitHub environment that a workflow must run in."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+$", var.environment))
    error_message = "environment must be lower-case letters, e.g. prod."
  }
}

variable "image_repositories" {
  description = "Names of the image repositories that may be pushed to."
  type        = list(string)

  validation {
    condition     = length(var.image_repositories) > 0 && alltrue([for name in var.image_repositories : !strcontains(name, "*")])
    error_message = "image_repositories must name at least one repository, without *."
  }
}
