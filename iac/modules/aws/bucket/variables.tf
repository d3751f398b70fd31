variable "name" {
  description = "Name of the bucket, unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit: the rule of S3, without dots since they break TLS."
  }
}

variable "key_arn" {
  description = "KMS key of the objects."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.key_arn))
    error_message = "key_arn must be the ARN of a KMS key, arn:aws:kms:..."
  }
}

variable "old_versions_days" {
  description = "How long replaced and deleted objects can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.old_versions_days >= 7 && var.old_versions_days <= 3650
    error_message = "old_versions_days must be 7 to 3650: less is no protection from a mistake."
  }
}

variable "infrequent_after_days" {
  description = "When objects move to the cheaper class for rare access; null is never."
  type        = number
  default     = null

  validation {
    condition     = var.infrequent_after_days == null ? true : var.infrequent_after_days >= 30
    error_message = "infrequent_after_days must be at least 30, S3's minimum for STANDARD_IA."
  }
}

variable "expire_after_days" {
  description = "When objects are deleted; null is never."
  type        = number
  default     = null

  validation {
    condition     = var.expire_after_days == null ? true : var.expire_after_days >= 30
    error_message = "expire_after_days must be at least 30."
  }
}

variable "browser_origins" {
  description = "Web origins whose pages use presigned URLs."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for origin in var.browser_origins : can(regex("^https://[a-z0-9.-]+$", origin))])
    error_message = "browser_origins must be https origins without a path, e.g. https://shop.example.com; never *."
  }
}

variable "allow_data_loss" {
  description = "Lets a destroy delete a bucket that holds objects."
  type        = bool
  default     = false
}
