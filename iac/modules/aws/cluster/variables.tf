variable "name" {
  description = "Name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,56}$", var.name))
    error_message = "name must be 2 to 57 lower-case letters, digits and hyphens, starting with a letter: its roles add seven to IAM's 64."
  }
}

variable "kubernetes_version" {
  description = "Version of Kubernetes, within EKS's standard support."
  type        = string

  validation {
    condition     = contains(["1.34", "1.35", "1.36"], var.kubernetes_version)
    error_message = "kubernetes_version must be 1.34, 1.35 or 1.36: older ones are out of EKS's standard support, which costs six times as much."
  }
}

variable "subnet_ids" {
  description = "Private subnets in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids must be at least 2 subnets: EKS asks for two zones."
  }
}

variable "workloads_security_group_id" {
  description = "Security group that the stores let in."
  type        = string

  validation {
    condition     = startswith(var.workloads_security_group_id, "sg-")
    error_message = "workloads_security_group_id must be the id of a security group, sg-..."
  }
}

variable "public_access_cidrs" {
  description = "Who may reach the API from the internet; empty is nobody, through the VPC only."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : can(cidrhost(cidr, 0)) && try(tonumber(split("/", cidr)[1]) >= 24, false)])
    error_message = "public_access_cidrs must be IPv4 blocks of /24 or smaller, such as an office's; never 0.0.0.0/0."
  }
}

variable "administrators" {
  description = "IAM principals that administer the cluster, by a short name."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in var.administrators : can(regex("^arn:aws:iam::[0-9]{12}:role/.+$", arn))])
    error_message = "administrators must be ARNs of IAM roles; users have static keys."
  }
}

variable "instance_types" {
  description = "Instance types of the nodes, of one size."
  type        = list(string)

  validation {
    condition     = length(var.instance_types) >= 1 && alltrue([for type in var.instance_types : can(regex("^(t3|t3a|t4g|m6i|m6a|m6g|m7i|m7a|m7g|m8g)\\.(medium|large|xlarge|2xlarge)$", type))])
    error_message = "instance_types must be t3, t4g, m6 to m8 in the sizes medium to 2xlarge: larger ones want a talk about cost first."
  }
}

variable "ami_type" {
  description = "Image of the nodes; its architecture must be that of the instance types."
  type        = string
  default     = "AL2023_ARM_64_STANDARD"

  validation {
    condition     = contains(["AL2023_ARM_64_STANDARD", "AL2023_x86_64_STANDARD", "BOTTLEROCKET_ARM_64", "BOTTLEROCKET_x86_64"], var.ami_type)
    error_message = "ami_type must be Amazon Linux 2023 or Bottlerocket; Amazon Linux 2 is out of support."
  }
}

variable "nodes" {
  description = "How many nodes: at least, at first, at most."
  type        = object({ min = number, desired = number, max = number })
  default     = { min = 3, desired = 3, max = 6 }

  validation {
    condition     = var.nodes.min >= 2 && var.nodes.min <= var.nodes.desired && var.nodes.desired <= var.nodes.max && var.nodes.max <= 20
    error_message = "nodes must satisfy 2 <= min <= desired <= max <= 20."
  }
}

variable "instance_tags" {
  description = "Tags of instances and volumes: the provider's defaults do not reach what the node group starts."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for value in values(var.instance_tags) : length(value) > 0])
    error_message = "instance_tags must not have empty values: a tag that says nothing finds nobody."
  }
}

variable "key_arn" {
  description = "KMS key of Kubernetes' secrets."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.key_arn))
    error_message = "key_arn must be the ARN of a KMS key, arn:aws:kms:..."
  }
}

variable "log_retention_days" {
  description = "How long logs of the control plane are kept."
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
