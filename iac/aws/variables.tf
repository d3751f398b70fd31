variable "project" {
  description = "First part of every name; buckets' names are unique in the world, so another company needs another one."
  type        = string
  default     = "souk"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.project))
    error_message = "project must be 2 to 12 lower-case letters and digits, starting with a letter: longer names exceed the limits of S3 and IAM."
  }
}

variable "environment" {
  description = "Second part of every name."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment must be dev, staging or prod."
  }
}

variable "account_id" {
  description = "The AWS account; anything else is refused before a single call changes something."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be the 12 digits of an AWS account."
  }
}

variable "region" {
  description = "The AWS region."
  type        = string
  default     = "ap-south-1"

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.region))
    error_message = "region must be an AWS region such as ap-south-1."
  }
}

variable "owner" {
  description = "Team that answers for it; a tag."
  type        = string

  validation {
    condition     = length(var.owner) > 0
    error_message = "owner must name a team: what nobody owns, nobody mends."
  }
}

variable "cost_center" {
  description = "Who pays; a tag."
  type        = string

  validation {
    condition     = length(var.cost_center) > 0
    error_message = "cost_center must not be empty."
  }
}

variable "cidr" {
  description = "Addresses of the VPC."
  type        = string
}

variable "zones" {
  description = "Availability zones: at least two, three in prod."
  type        = list(string)

  validation {
    condition     = var.environment != "prod" || length(var.zones) == 3
    error_message = "zones must be 3 in prod: Kafka keeps three copies and needs two."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone instead of one for all."
  type        = bool

  validation {
    condition     = var.environment != "prod" || var.nat_per_zone
    error_message = "nat_per_zone must be true in prod: otherwise one zone's failure cuts the others off."
  }
}

variable "analytics_cidrs" {
  description = "Blocks of the analytics network in Google Cloud, over the private link; empty while there is none."
  type        = list(string)
  default     = []
}

variable "kubernetes_version" {
  description = "Version of Kubernetes."
  type        = string
  default     = "1.35"
}

variable "cluster_public_access_cidrs" {
  description = "Who may reach the Kubernetes API from the internet; empty is nobody."
  type        = list(string)
  default     = []
}

variable "cluster_administrators" {
  description = "ARNs of IAM roles that administer the cluster, by a short name."
  type        = map(string)
  default     = {}
}

variable "node_instance_types" {
  description = "Instance types of the nodes."
  type        = list(string)
}

variable "nodes" {
  description = "How many nodes."
  type        = object({ min = number, desired = number, max = number })
  default     = { min = 3, desired = 3, max = 6 }
}

variable "database_instance_class" {
  description = "Class of the database."
  type        = string
}

variable "database_storage_gib" {
  description = "Storage of the database at first."
  type        = number
  default     = 50
}

variable "database_multi_az" {
  description = "A standby of the database in another zone."
  type        = bool

  validation {
    condition     = var.environment == "dev" || var.database_multi_az
    error_message = "database_multi_az must be true in staging and prod: a failover that was never tried is none."
  }
}

variable "database_backup_days" {
  description = "How far back the database can be restored."
  type        = number
  default     = 14
}

variable "broker_instance_type" {
  description = "Type of the Kafka brokers."
  type        = string
}

variable "broker_storage_gib" {
  description = "Storage of each Kafka broker."
  type        = number
  default     = 100
}

variable "notify_package" {
  description = "Zip with the Lambda's code, from `python -m iac package`."
  type        = string
}

variable "notify_concurrency" {
  description = "How many invocations of the Lambda run at once."
  type        = number
  default     = 10
}

variable "notify_environment" {
  description = "More environment variables of the Lambda, such as an emulator's address."
  type        = map(string)
  default     = {}
}

variable "mail_domain" {
  description = "Domain that mails come from."
  type        = string
}

variable "browser_origins" {
  description = "Web origins whose pages use presigned URLs of images."
  type        = list(string)
}

variable "github_repository" {
  description = "The GitHub repository whose workflows push images."
  type        = string
}

variable "create_github_provider" {
  description = "Whether GitHub's identity provider is made here; an account can have it only once."
  type        = bool
  default     = true
}

variable "alarm_emails" {
  description = "Who is told about alarms and the budget."
  type        = list(string)
}

variable "monthly_budget_usd" {
  description = "What a month may cost, in US dollars."
  type        = number
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 90
}

variable "allow_data_loss" {
  description = "The switch that lets data be destroyed: without it, protections hold and buckets must be empty."
  type        = bool
  default     = false
}
