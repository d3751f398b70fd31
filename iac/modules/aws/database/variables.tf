variable "name" {
  description = "Name of the instance."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,42}$", var.name)) && !endswith(var.name, "-") && !strcontains(var.name, "--")
    error_message = "name must be 1 to 43 lower-case letters, digits and single hyphens, starting with a letter: its monitoring role adds 20 to IAM's 64."
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

variable "vpc_id" {
  description = "The VPC."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id must be the id of a VPC, vpc-..."
  }
}

variable "subnet_ids" {
  description = "Data subnets in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids must be at least 2 subnets: the standby lives in another zone."
  }
}

variable "workloads_security_group_id" {
  description = "Security group that is let in."
  type        = string

  validation {
    condition     = startswith(var.workloads_security_group_id, "sg-")
    error_message = "workloads_security_group_id must be the id of a security group, sg-..."
  }
}

variable "engine_version" {
  description = "Major version of PostgreSQL; RDS takes the newest minor one."
  type        = string
  default     = "18"

  validation {
    condition     = contains(["16", "17", "18"], var.engine_version)
    error_message = "engine_version must be 16, 17 or 18: older ones are near or past their end of support."
  }
}

variable "instance_class" {
  description = "Class of the instance."
  type        = string

  validation {
    condition     = can(regex("^db\\.(t4g|m6g|m7g|m8g|r6g|r7g|r8g)\\.(micro|small|medium|large|xlarge|2xlarge)$", var.instance_class))
    error_message = "instance_class must be t4g, m6g to m8g or r6g to r8g up to 2xlarge, e.g. db.m7g.large: larger ones want a talk about cost first."
  }
}

variable "storage_gib" {
  description = "Storage at first; it grows to four times that by itself."
  type        = number
  default     = 50

  validation {
    condition     = var.storage_gib >= 20 && var.storage_gib <= 4096
    error_message = "storage_gib must be 20 to 4096."
  }
}

variable "multi_az" {
  description = "A standby in another zone."
  type        = bool
  default     = true
}

variable "backup_days" {
  description = "How far back the database can be restored, to any second."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "backup_days must be 7 to 35, RDS's limit; 0 would turn point-in-time recovery off."
  }
}

variable "key_arn" {
  description = "KMS key of storage, password and insights."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.key_arn))
    error_message = "key_arn must be the ARN of a KMS key, arn:aws:kms:..."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "log_retention_days must be 7, 14, 30, 60, 90, 180 or 365."
  }
}

variable "log_key_arn" {
  description = "KMS key of the logs."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.log_key_arn))
    error_message = "log_key_arn must be the ARN of a KMS key, arn:aws:kms:..."
  }
}

variable "alarm_topic_arn" {
  description = "SNS topic that alarms go to."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:sns:", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be the ARN of an SNS topic, arn:aws:sns:..."
  }
}

variable "allow_data_loss" {
  description = "Lifts the deletion protection, and deletes without a last snapshot."
  type        = bool
  default     = false
}
