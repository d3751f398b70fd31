# PostgreSQL for accounts, catalogue and their outboxes.

resource "aws_db_subnet_group" "this" {
  name        = var.name
  description = "Data subnets, without a way to the internet"
  subnet_ids  = var.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${var.name}-database"
  description = "PostgreSQL, for the workloads only"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-database" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL from the workloads"
  referenced_security_group_id = var.workloads_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432

  tags = { Name = "${var.name}-database" }
}

resource "aws_db_parameter_group" "this" {
  name        = "${var.name}-${var.engine_version}"
  family      = "postgres${var.engine_version}"
  description = "TLS only; limits that keep the outbox's relay moving"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  # The relay reads by snapshots: a transaction forgotten open would hold back vacuum, and events written in it.
  parameter {
    name  = "idle_in_transaction_session_timeout"
    value = "60000"
  }

  # A ring table is rotated by TRUNCATE, which waits for readers: better refused and tried again than everyone queueing.
  parameter {
    name  = "lock_timeout"
    value = "10000"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "500"
  }

  parameter {
    name  = "log_lock_waits"
    value = "1"
  }

  lifecycle {
    create_before_destroy = true
  }
}

data "aws_iam_policy_document" "monitoring_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["monitoring.rds.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

resource "aws_iam_role" "monitoring" {
  name               = "${var.name}-database-monitoring"
  assume_role_policy = data.aws_iam_policy_document.monitoring_trust.json
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:what must live for a year is in the stores and in S3; logs of an environment live as long as its log_retention_days says

  for_each = toset(["postgresql", "upgrade"])

  name              = "/aws/rds/instance/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_293:on, unless allow_data_loss is set; a policy holds it in prod

  identifier     = var.name
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class
  db_name        = "souk"
  username       = "souk"

  # RDS makes it, keeps it in Secrets Manager and changes it every seven days.
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.key_arn

  storage_type          = "gp3"
  allocated_storage     = var.storage_gib
  max_allocated_storage = var.storage_gib * 4
  storage_encrypted     = true
  kms_key_id            = var.key_arn

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  iam_database_authentication_enabled = true

  # Automated backups are what point-in-time recovery restores from.
  backup_retention_period   = var.backup_days
  backup_window             = "20:00-20:30"
  maintenance_window        = "sun:21:00-sun:22:00"
  copy_tags_to_snapshot     = true
  deletion_protection       = !var.allow_data_loss
  skip_final_snapshot       = var.allow_data_loss
  final_snapshot_identifier = var.allow_data_loss ? null : "${var.name}-final"
  delete_automated_backups  = var.allow_data_loss

  auto_minor_version_upgrade = true
  apply_immediately          = false

  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.key_arn
  performance_insights_retention_period = 7
  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn
  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]

  depends_on = [aws_cloudwatch_log_group.this, aws_iam_role_policy_attachment.monitoring]
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = {
    CPUUtilization   = { above = true, threshold = 80, statistic = "Average", why = "The database computes without a pause." }
    FreeStorageSpace = { above = false, threshold = 5 * 1024 * 1024 * 1024, statistic = "Minimum", why = "Less than 5 GiB are free, in spite of autoscaling." }
  }

  alarm_name          = "${var.name}-database-${each.key}"
  alarm_description   = each.value.why
  namespace           = "AWS/RDS"
  metric_name         = each.key
  dimensions          = { DBInstanceIdentifier = aws_db_instance.this.identifier }
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = 3
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.threshold
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
