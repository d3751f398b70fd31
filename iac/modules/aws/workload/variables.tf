variable "name" {
  description = "Name of the role, with its prefix."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,64}$", var.name))
    error_message = "name must be 1 to 64 letters, digits, hyphens and underscores: IAM's limit."
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

variable "cluster_name" {
  description = "The EKS cluster."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", var.cluster_name))
    error_message = "cluster_name must be 1 to 100 letters, digits, hyphens and underscores."
  }
}

variable "namespace" {
  description = "Namespace of the service account."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace must be a name of Kubernetes: up to 63 lower-case letters, digits and hyphens."
  }
}

variable "service_account" {
  description = "The service account."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.service_account))
    error_message = "service_account must be a name of Kubernetes: up to 63 lower-case letters, digits and hyphens."
  }
}

variable "permissions" {
  description = "What the workload may do, by statement id."
  type = map(object({
    actions   = list(string)
    resources = list(string)
    conditions = optional(list(object({
      test     = string
      variable = string
      values   = list(string)
    })), [])
  }))

  validation {
    condition     = length(var.permissions) > 0 && alltrue(flatten([for grant in var.permissions : [for action in grant.actions : !strcontains(action, "*")]]))
    error_message = "permissions must hold at least one statement and name each action in full, without *."
  }
}
