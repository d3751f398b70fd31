variable "name" {
  description = "Name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9-]{1,64}$", var.name))
    error_message = "name must be 1 to 64 letters, digits and hyphens."
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
  description = "Data subnets, one for each broker."
  type        = list(string)

  validation {
    condition     = contains([2, 3], length(var.subnet_ids))
    error_message = "subnet_ids must be 2 or 3 subnets in different zones: MSK puts a broker into each."
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

variable "client_cidrs" {
  description = "Private blocks that are let in besides, such as the analytics network over its private link."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.client_cidrs : can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", cidr)) && can(cidrhost(cidr, 0))])
    error_message = "client_cidrs must be private blocks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16): the brokers are not for the world."
  }
}

variable "kafka_version" {
  description = "Version of Kafka."
  type        = string
  default     = "4.1.x.kraft"

  validation {
    condition     = contains(["3.9.x.kraft", "4.0.x.kraft", "4.1.x.kraft"], var.kafka_version)
    error_message = "kafka_version must be 3.9.x.kraft, 4.0.x.kraft or 4.1.x.kraft: MSK supports these, without ZooKeeper."
  }
}

variable "instance_type" {
  description = "Type of the brokers."
  type        = string

  validation {
    condition     = can(regex("^(kafka\\.t3\\.small|kafka\\.m[57]g?\\.(large|xlarge|2xlarge))$", var.instance_type))
    error_message = "instance_type must be kafka.t3.small, or kafka.m5 or kafka.m7g from large to 2xlarge."
  }
}

variable "storage_gib" {
  description = "Storage of each broker."
  type        = number
  default     = 100

  validation {
    condition     = var.storage_gib >= 10 && var.storage_gib <= 16384
    error_message = "storage_gib must be 10 to 16384."
  }
}

variable "key_arn" {
  description = "KMS key of the log segments."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.key_arn))
    error_message = "key_arn must be the ARN of a KMS key, arn:aws:kms:..."
  }
}

variable "log_retention_days" {
  description = "How long the brokers' logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "log_retention_days must be 7, 14, 30, 60, 90, 180 or 365."
  }
}

variable "log_key_arn" {
  description = "KMS key of the brokers' logs."
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
