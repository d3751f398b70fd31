# What the job may do on AWS, by the token that Google gives its service account: no key exists, and no other account of
# Google, though Google signs for millions, can take the role.

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "OneGoogleAccount"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = ["accounts.google.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "accounts.google.com:sub"
      values   = [var.google_account]
    }

    condition {
      test     = "StringEquals"
      variable = "accounts.google.com:oaud"
      values   = [var.audience]
    }
  }
}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "Results"
    actions   = ["s3:PutObject"]
    resources = ["arn:aws:s3:::${var.prefix}analytics-results/*"]
  }

  # By alias, since a key's id is not known here; the condition is what narrows the resource.
  statement {
    sid       = "UseKeys"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["arn:aws:kms:${var.region}:${var.account_id}:key/*"]

    condition {
      test     = "ForAnyValue:StringEquals"
      variable = "kms:ResourceAliases"
      values   = ["alias/${var.prefix}data"]
    }
  }

  statement {
    sid       = "KafkaCluster"
    actions   = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster", "kafka-cluster:WriteDataIdempotently"]
    resources = ["arn:aws:kafka:${var.region}:${var.account_id}:cluster/${var.kafka}/*"]
  }

  statement {
    sid       = "KafkaRead"
    actions   = ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"]
    resources = [for topic in var.reads : "arn:aws:kafka:${var.region}:${var.account_id}:topic/${var.kafka}/*/${topic}"]
  }

  statement {
    sid       = "KafkaWrite"
    actions   = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]
    resources = [for topic in var.writes : "arn:aws:kafka:${var.region}:${var.account_id}:topic/${var.kafka}/*/${topic}"]
  }

  # Spark makes a group for each query, and commits nothing to it.
  statement {
    sid       = "KafkaGroup"
    actions   = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]
    resources = ["arn:aws:kafka:${var.region}:${var.account_id}:group/${var.kafka}/*/spark-kafka-source-*"]
  }
}

resource "aws_iam_role" "this" {
  name                 = var.name
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "this" {
  name   = "what-it-does"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.this.json
}
