# What the job's code uses. tests/test_gcp.py compares it with that code.

locals {
  dataset = "analytics"

  tables = {
    order_windows = {
      description  = "Confirmed orders, buyers and revenue by minute; the job replaces a minute as late orders arrive."
      partition_by = "window_start"
      expire_days  = var.results_days
      columns = [
        { name = "window_start", type = "TIMESTAMP", mode = "REQUIRED" },
        { name = "window_end", type = "TIMESTAMP", mode = "REQUIRED" },
        { name = "orders", type = "INT64", mode = "REQUIRED" },
        { name = "users", type = "INT64", mode = "REQUIRED" },
        { name = "revenue", type = "STRING", mode = "REQUIRED", description = "JSON: minor units by currency." },
      ]
    }
  }

  topics = {
    reads  = ["orders"]
    writes = ["analytics-results", "analytics-parked"]
  }

  settings = {
    SOUK_AWS_REGION       = var.aws_region
    SOUK_AWS_PREFIX       = local.aws.prefix
    SOUK_BIGQUERY_DATASET = module.dataset.id
    SOUK_BIGQUERY_PROJECT = var.gcp_project
    SOUK_CHECKPOINT_DIR   = "gs://${module.staging.name}/checkpoints"
    SOUK_KAFKA_BOOTSTRAP  = var.aws_side.kafka_bootstrap
    SOUK_KAFKA_SECURITY   = "iam"
    SOUK_LOG_FORMAT       = "json"
    SOUK_SPARK_MASTER     = ""
  }

  # How the job takes its role on AWS; nothing, as long as there is none.
  launch = var.job_account == null ? {} : {
    LAUNCH_AWS_AUDIENCE = local.name
    LAUNCH_AWS_ROLE_ARN = "arn:aws:iam::${var.aws_account_id}:role/${local.aws.prefix}analytics"
  }

  secrets = {
    kafka-client = "Login of the job at Kafka, where the brokers ask for one that no role gives"
  }
}
