# Spark (Dataproc): private nodes that start verified, discs encrypted with a key of ours, workers that come and go with the
# load. Streams run on the primary workers, which stay; secondary ones, which may go, are for what can be repeated.

resource "google_dataproc_autoscaling_policy" "this" {
  project   = var.project
  policy_id = var.name
  location  = var.region

  worker_config {
    min_instances = var.workers.min
    max_instances = var.workers.max
    weight        = 1
  }

  secondary_worker_config {
    min_instances = 0
    max_instances = var.workers.secondary
    weight        = 1
  }

  basic_algorithm {
    cooldown_period = "240s"

    yarn_config {
      scale_up_factor               = 0.5
      scale_down_factor             = 0.5
      graceful_decommission_timeout = "3600s"
    }
  }
}

resource "google_dataproc_cluster" "this" {
  project                       = var.project
  name                          = var.name
  region                        = var.region
  graceful_decommission_timeout = "3600s"

  cluster_config {
    staging_bucket = var.bucket
    temp_bucket    = var.bucket

    gce_cluster_config {
      subnetwork             = var.subnet_id
      internal_ip_only       = true
      tags                   = [var.node_tag]
      service_account        = var.service_account
      service_account_scopes = ["https://www.googleapis.com/auth/cloud-platform"]

      metadata = {
        block-project-ssh-keys = "true"
        enable-oslogin         = "TRUE"
      }

      shielded_instance_config {
        enable_secure_boot          = true
        enable_vtpm                 = true
        enable_integrity_monitoring = true
      }
    }

    # Three masters, or one where a restart from the checkpoint is soon enough.
    master_config {
      num_instances = var.masters
      machine_type  = var.machine_type

      disk_config {
        boot_disk_type    = "pd-balanced"
        boot_disk_size_gb = var.disk_gib
      }
    }

    worker_config {
      num_instances = var.workers.min
      machine_type  = var.machine_type

      disk_config {
        boot_disk_type    = "pd-balanced"
        boot_disk_size_gb = var.disk_gib
      }
    }

    software_config {
      image_version = var.image_version

      override_properties = {
        "dataproc:dataproc.logging.stackdriver.enable"    = "true"
        "dataproc:dataproc.monitoring.stackdriver.enable" = "true"
        "dataproc:dataproc.logging.extended.enabled"      = "true"
        "spark:spark.eventLog.dir"                        = "gs://${var.bucket}/spark-events"
        "spark:spark.history.fs.logDirectory"             = "gs://${var.bucket}/spark-events"
        "spark:spark.sql.session.timeZone"                = "UTC"
      }
    }

    autoscaling_config {
      policy_uri = google_dataproc_autoscaling_policy.this.name
    }

    encryption_config {
      kms_key_name = var.key_id
    }

    # The web pages of Spark and YARN, behind Google's login; no port of a node is opened.
    endpoint_config {
      enable_http_port_access = true
    }
  }
}
