variable "name" {
  description = "Name of the table, with its prefix."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]{3,255}$", var.name))
    error_message = "name must be 3 to 255 letters, digits, dots, hyphens and underscores."
  }
}

variable "key" {
  description = "Partition key, a string."
  type        = string

  validation {
    condition     = length(var.key) >= 1 && length(var.key) <= 255
    error_message = "key must name an attribute of 1 to 255 characters."
  }
}

variable "sort" {
  description = "Sort key, a string; null is none."
  type        = string
  default     = null

  validation {
    condition     = var.sort == null ? true : length(var.sort) >= 1 && length(var.sort) <= 255
    error_message = "sort must be null or name an attribute of 1 to 255 characters."
  }
}

variable "indexes" {
  description = "Global secondary indexes by name, each with every attribute."
  type        = map(object({ key = string, sort = optional(string) }))
  default     = {}

  validation {
    condition     = length(var.indexes) <= 20
    error_message = "indexes must be at most 20, DynamoDB's limit for a table."
  }
}

variable "ttl" {
  description = "Attribute with the epoch second of expiry; null keeps items for ever."
  type        = string
  default     = null

  validation {
    condition     = var.ttl == null ? true : length(var.ttl) >= 1 && length(var.ttl) <= 255
    error_message = "ttl must be null or name an attribute of 1 to 255 characters."
  }
}

variable "stream" {
  description = "Whether changes are streamed (new images)."
  type        = bool
  default     = false
}

variable "key_arn" {
  description = "KMS key of the table."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.key_arn))
    error_message = "key_arn must be the ARN of a KMS key, arn:aws:kms:..."
  }
}

variable "allow_data_loss" {
  description = "Lifts the deletion protection."
  type        = bool
  default     = false
}
