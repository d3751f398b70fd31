# The streaming job: a release out of the bucket, its settings as variables of the driver, started again when it fails.

resource "google_storage_bucket_object" "main" {
  bucket       = var.bucket
  name         = "launch/main.py"
  content_type = "text/x-python"
  content      = file("${path.module}/main.py")
}

# A release is a folder that nobody changes any more: environment.tar.gz, a packed Python environment with the job in it.
resource "google_dataproc_job" "this" {
  count = var.release == null ? 0 : 1

  project      = var.project
  region       = var.region
  force_delete = true

  placement {
    cluster_name = var.cluster
  }

  reference {
    job_id = "${var.name}-${replace(var.release, ".", "-")}"
  }

  pyspark_config {
    main_python_file_uri = "gs://${google_storage_bucket_object.main.bucket}/${google_storage_bucket_object.main.name}"
    archive_uris         = ["gs://${var.bucket}/releases/${var.release}/environment.tar.gz#environment"]

    properties = merge(
      {
        "spark.submit.deployMode"         = "cluster"
        "spark.pyspark.python"            = "./environment/bin/python"
        "spark.jars.packages"             = "${var.connector},${var.kafka_login}"
        "spark.dynamicAllocation.enabled" = "false"
        "spark.executor.instances"        = tostring(var.executors)
      },
      { for name, value in var.environment : "spark.yarn.appMasterEnv.${name}" => value },
    )
  }

  # The next start goes on from the checkpoint.
  scheduling {
    max_failures_per_hour = 5
    max_failures_total    = 240
  }
}
