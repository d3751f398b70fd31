variable "name" {
  description = "Name of the repository."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9/_.-]{1,255}$", var.name))
    error_message = "name must be 2 to 256 lower-case letters, digits, slashes, dots, hyphens and underscores."
  }
}

variable "key_arn" {
  description = "KMS key of the images."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.key_arn))
    error_message = "key_arn must be the ARN of a KMS key, arn:aws:kms:..."
  }
}

variable "keep_images" {
  description = "How many images are kept."
  type        = number
  default     = 50

  validation {
    condition     = var.keep_images >= 10 && var.keep_images <= 1000
    error_message = "keep_images must be 10 to 1000: fewer leaves too little to roll back to."
  }
}

variable "allow_data_loss" {
  description = "Lets a destroy delete a repository that holds images."
  type        = bool
  default     = false
}
