variable "name" {
  description = "Name of the account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.name))
    error_message = "name must be 6 to 30 lower-case letters, digits and hyphens, starting with a letter."
  }
}

variable "description" {
  description = "Who carries it."
  type        = string

  validation {
    condition     = length(trimspace(var.description)) >= 3 && length(var.description) <= 200
    error_message = "description must say who carries it, in 3 to 200 characters."
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

variable "project_number" {
  description = "Number of the project."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.project_number))
    error_message = "project_number must be the digits that Google gave the project."
  }
}

variable "project_roles" {
  description = "Roles in the whole project, for what Google binds to nothing smaller."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for role in var.project_roles : startswith(role, "roles/") && !contains(["roles/owner", "roles/editor", "roles/viewer"], role) && !endswith(lower(role), "admin")])
    error_message = "project_roles must be narrow roles such as roles/dataproc.worker; owner, editor, viewer and administrators are refused."
  }
}

variable "aws_role" {
  description = "Role on AWS that may take the account, null for none."
  type        = object({ account_id = string, name = string })
  default     = null

  validation {
    condition     = var.aws_role == null || can(regex("^[0-9]{12}$", var.aws_role.account_id))
    error_message = "aws_role must name an AWS account by its 12 digits."
  }
}
