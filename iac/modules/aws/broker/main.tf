# Kafka (MSK): a broker in each zone, IAM over TLS, nothing unauthenticated, nothing public.

resource "aws_security_group" "this" {
  name        = "${var.name}-broker"
  description = "Kafka, for the workloads and the analytics link only"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-broker" }
}

resource "aws_vpc_security_group_ingress_rule" "workloads" {
  security_group_id            = aws_security_group.this.id
  description                  = "Kafka (IAM) from the workloads"
  referenced_security_group_id = var.workloads_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 9098
  to_port                      = 9098

  tags = { Name = "${var.name}-broker-workloads" }
}

resource "aws_vpc_security_group_ingress_rule" "analytics" {
  for_each = toset(var.client_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "Kafka (IAM) from the analytics network"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 9098
  to_port           = 9098

  tags = { Name = "${var.name}-broker-analytics" }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:what must live for a year is in the stores and in S3; logs of an environment live as long as its log_retention_days says

  name              = "/aws/msk/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

# An event is acknowledged when two of three brokers have it; topics are made on purpose, never by a typing mistake.
resource "aws_msk_configuration" "this" {
  name           = var.name
  kafka_versions = [var.kafka_version]

  server_properties = <<-PROPERTIES
    auto.create.topics.enable=false
    default.replication.factor=${min(3, length(var.subnet_ids))}
    min.insync.replicas=2
    unclean.leader.election.enable=false
    log.retention.hours=168
    allow.everyone.if.no.acl.found=false
  PROPERTIES

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_msk_cluster" "this" {
  cluster_name           = var.name
  kafka_version          = var.kafka_version
  number_of_broker_nodes = length(var.subnet_ids)
  enhanced_monitoring    = "PER_TOPIC_PER_BROKER"

  broker_node_group_info {
    instance_type   = var.instance_type
    client_subnets  = var.subnet_ids
    security_groups = [aws_security_group.this.id]

    storage_info {
      ebs_storage_info {
        volume_size = var.storage_gib
      }
    }

    connectivity_info {
      public_access {
        type = "DISABLED"
      }
    }
  }

  client_authentication {
    unauthenticated = false

    sasl {
      iam = true
    }
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = var.key_arn

    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.this.arn
    revision = aws_msk_configuration.this.latest_revision
  }

  open_monitoring {
    prometheus {
      jmx_exporter {
        enabled_in_broker = true
      }
      node_exporter {
        enabled_in_broker = true
      }
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.this.name
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "disk" {
  alarm_name          = "${var.name}-broker-disk"
  alarm_description   = "A broker's disk is over 80 % full: shorten retention or add storage, a full broker stops."
  namespace           = "AWS/Kafka"
  metric_name         = "KafkaDataLogsDiskUsed"
  dimensions          = { "Cluster Name" = aws_msk_cluster.this.cluster_name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = 80
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
