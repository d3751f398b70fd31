# Who is told: mail addresses, alarms on the job, the link and the secrets' readers, and a budget.

resource "google_monitoring_notification_channel" "this" {
  for_each = toset(var.alarm_emails)

  project      = var.project
  display_name = each.key
  type         = "email"

  labels = { email_address = each.key }
}

locals {
  channels = [for channel in google_monitoring_notification_channel.this : channel.name]

  alarms = {
    job-failed = {
      what      = "The streaming job failed. It starts again from its checkpoint; if it keeps failing, read the driver's log."
      filter    = "resource.type = \"cloud_dataproc_cluster\" AND metric.type = \"dataproc.googleapis.com/cluster/job/failed_count\" AND resource.labels.cluster_name = \"${var.cluster}\""
      aligner   = "ALIGN_DELTA"
      compare   = "COMPARISON_GT"
      threshold = 0
      duration  = "0s"
    }
    memory-short = {
      what      = "Applications wait for memory and the cluster grows no more: raise `workers`, or look for what eats it."
      filter    = "resource.type = \"cloud_dataproc_cluster\" AND metric.type = \"dataproc.googleapis.com/cluster/yarn/pending_memory_size\" AND resource.labels.cluster_name = \"${var.cluster}\""
      aligner   = "ALIGN_MIN"
      compare   = "COMPARISON_GT"
      threshold = 0
      duration  = "1800s"
    }
    tunnel-down = {
      what      = "A tunnel to AWS is down. Four are there and one is enough, but mend it before the next goes."
      filter    = "resource.type = \"vpn_gateway\" AND metric.type = \"compute.googleapis.com/vpn/tunnel_established\""
      aligner   = "ALIGN_MAX"
      compare   = "COMPARISON_LT"
      threshold = 1
      duration  = "300s"
    }
  }
}

resource "google_monitoring_alert_policy" "this" {
  for_each = local.alarms

  project               = var.project
  display_name          = "${var.name} ${each.key}"
  combiner              = "OR"
  notification_channels = local.channels

  documentation {
    content   = each.value.what
    mime_type = "text/markdown"
  }

  conditions {
    display_name = each.key

    condition_threshold {
      filter          = each.value.filter
      comparison      = each.value.compare
      threshold_value = each.value.threshold
      duration        = each.value.duration

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = each.value.aligner
      }
    }
  }
}

resource "google_billing_budget" "this" {
  billing_account = var.billing_account
  display_name    = var.name

  budget_filter {
    projects = ["projects/${var.project_number}"]
  }

  amount {
    specified_amount {
      currency_code = "USD"
      units         = tostring(var.monthly_budget_usd)
    }
  }

  threshold_rules {
    threshold_percent = 0.8
  }

  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    monitoring_notification_channels = local.channels
  }
}
