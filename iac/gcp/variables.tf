variable "project" {
  description = "First part of every name, the same as on AWS."
  type        = string
  default     = "souk"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.project))
    error_message = "project must be 2 to 12 lower-case letters and digits, starting with a letter: longer names exceed the limits of service accounts."
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

variable "owner" {
  description = "Team that answers for it; a label."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9_-]{1,63}$", var.owner))
    error_message = "owner must be 1 to 63 lower-case letters, digits, hyphens and underscores, as a label is."
  }
}

variable "cost_center" {
  description = "Who pays; a label."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9_-]{1,63}$", var.cost_center))
    error_message = "cost_center must be 1 to 63 lower-case letters, digits, hyphens and underscores, as a label is."
  }
}

variable "gcp_project" {
  description = "The Google Cloud project, which exists and is billed."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.gcp_project))
    error_message = "gcp_project must be the id of a Google Cloud project: 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "gcp_project_number" {
  description = "Its number."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,20}$", var.gcp_project_number))
    error_message = "gcp_project_number must be the digits that Google gave the project."
  }
}

variable "billing_account" {
  description = "Its billing account."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account must be a billing account such as 0123AB-4567CD-89EF01."
  }
}

variable "region" {
  description = "The Google Cloud region, near the one on AWS."
  type        = string
  default     = "asia-south1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a Google Cloud region such as asia-south1."
  }
}

variable "aws_account_id" {
  description = "The AWS account; anything else is refused before a single call changes something."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.aws_account_id))
    error_message = "aws_account_id must be the 12 digits of an AWS account."
  }
}

variable "aws_region" {
  description = "The AWS region."
  type        = string
  default     = "ap-south-1"

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.aws_region))
    error_message = "aws_region must be an AWS region such as ap-south-1."
  }
}

variable "aws_side" {
  description = "What the stack on AWS gives out as `analytics`: its VPC, the brokers' route table, and Kafka's address."
  type        = object({ vpc_id = string, vpc_cidr = string, route_table_id = string, kafka_bootstrap = string })

  validation {
    condition     = alltrue([for address in split(",", var.aws_side.kafka_bootstrap) : can(regex("^[a-z0-9.-]+:[0-9]+$", address))])
    error_message = "aws_side must have kafka_bootstrap as host:port, several with commas between them."
  }
}

variable "cidr" {
  description = "Addresses of the subnet; the stack on AWS lets exactly these in (its analytics_cidrs)."
  type        = string
}

variable "image_version" {
  description = "Dataproc image."
  type        = string
  default     = "3.0-debian13"
}

variable "machine_type" {
  description = "Size of the nodes."
  type        = string
}

variable "masters" {
  description = "How many masters: 1, or 3 to go on when one is lost."
  type        = number

  validation {
    condition     = var.environment != "prod" || var.masters == 3
    error_message = "masters must be 3 in prod."
  }
}

variable "workers" {
  description = "Least and most primary workers, and most secondary ones."
  type        = object({ min = number, max = number, secondary = number })
}

variable "job_release" {
  description = "Version of the job that runs; null before the first release."
  type        = string
  default     = null
}

variable "job_account" {
  description = "Number of the job's service account, which the first apply tells as output `job_account`."
  type        = string
  default     = null
}

variable "results_days" {
  description = "How long a minute's result is kept in BigQuery."
  type        = number

  validation {
    condition     = var.results_days >= 30 && var.results_days <= 3650
    error_message = "results_days must be 30 to 3650."
  }
}

variable "readers" {
  description = "Who may read the results: IAM members, such as groups."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for reader in var.readers : can(regex("^(group|serviceAccount):[^@]+@.+$", reader))])
    error_message = "readers must be groups or service accounts, as group:analysts@souk.example: people come and go."
  }
}

variable "alarm_emails" {
  description = "Who is told."
  type        = list(string)
}

variable "monthly_budget_usd" {
  description = "What a month may cost before somebody is told."
  type        = number
}

variable "allow_data_loss" {
  description = "The switch that lets data be destroyed: without it, protections hold and buckets must be empty."
  type        = bool
  default     = false
}
