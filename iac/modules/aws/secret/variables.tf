variable "name" {
  description = "Name of the secret, with its prefix."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9/_-]{1,512}$", var.name))
    error_message = "name must be 1 to 512 letters, digits, slashes, hyphens and underscores."
  }
}

variable "description" {
  description = "What the secret is for, and in which form."
  type        = string

  validation {
    condition     = length(var.description) > 0
    error_message = "description must say what the secret is for: whoever fills it in reads nothing else."
  }
}

variable "key_arn" {
  description = "KMS key of the secret."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.key_arn))
    error_message = "key_arn must be the ARN of a KMS key, arn:aws:kms:..."
  }
}

variable "allow_data_loss" {
  description = "Deletes the secret at once instead of after 30 days."
  type        = bool
  default     = false
}
