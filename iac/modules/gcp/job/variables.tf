variable "name" {
  description = "Prefix of every name, e.g. `souk-prod`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,49}$", var.name)) && !endswith(var.name, "-")
    error_message = "name must be 2 to 50 lower-case letters, digits and hyphens, starting with a letter and not ending in a hyphen."
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

variable "region" {
  description = "The Google Cloud region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a Google Cloud region such as asia-south1."
  }
}

variable "cluster" {
  description = "Name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,52}[a-z0-9]$", var.cluster))
    error_message = "cluster must be the name of a Dataproc cluster: 3 to 54 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "bucket" {
  description = "Bucket with the releases."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket must be the name of a bucket: 3 to 63 lower-case letters, digits and hyphens, no hyphen first or last."
  }
}

variable "release" {
  description = "Version of the job, e.g. `0.1.0`; null where none has been released yet."
  type        = string
  default     = null

  validation {
    condition     = var.release == null || can(regex("^[0-9]+[.][0-9]+[.][0-9]+$", var.release))
    error_message = "release must be a version such as 0.1.0, or null for none yet."
  }
}

variable "connector" {
  description = "Spark's Kafka connector, of the Spark in the image."
  type        = string
  default     = "org.apache.spark:spark-sql-kafka-0-10_2.13:4.1.2"

  validation {
    condition     = can(regex("^org.apache.spark:spark-sql-kafka-0-10_2.13:4[.][0-9]+[.][0-9]+$", var.connector))
    error_message = "connector must be spark-sql-kafka-0-10_2.13 of a Spark 4, as org.apache.spark:spark-sql-kafka-0-10_2.13:4.1.2."
  }
}

variable "kafka_login" {
  description = "Amazon's module by which Kafka's Java client shows a role of AWS."
  type        = string
  default     = "software.amazon.msk:aws-msk-iam-auth:2.3.2"

  validation {
    condition     = can(regex("^software.amazon.msk:aws-msk-iam-auth:2[.][0-9]+[.][0-9]+$", var.kafka_login))
    error_message = "kafka_login must be aws-msk-iam-auth 2, as software.amazon.msk:aws-msk-iam-auth:2.3.2."
  }
}

variable "environment" {
  description = "Settings of the job (SOUK_*), of its launcher (LAUNCH_*), and of AWS' libraries (AWS_*)."
  type        = map(string)

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^(SOUK|LAUNCH|AWS)_[A-Z_]+$", name))])
    error_message = "environment must name variables SOUK_*, LAUNCH_* or AWS_*."
  }
}

variable "executors" {
  description = "How many executors the stream holds; fixed, since a stream that shrinks must recompute."
  type        = number
  default     = 2

  validation {
    condition     = var.executors >= 1 && var.executors <= 20
    error_message = "executors must be 1 to 20."
  }
}
