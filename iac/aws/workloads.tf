# One role for each service account. A statement appears only where the catalogue says that the service needs it.

locals {
  service_permissions = {
    for service, uses in local.services : service => merge(
      length(uses.tables) == 0 ? {} : {
        Tables = {
          actions = [
            "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem",
            "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem",
          ]
          resources = flatten([
            for table in uses.tables : concat(
              ["${local.arn.table}${table}"],
              [for index in keys(try(local.tables[table].indexes, {})) : "${local.arn.table}${table}/index/${index}"],
            )
          ])
        }
      },
      # Relays follow the streams, to hear of each other's commits.
      !anytrue([for table in uses.tables : try(local.tables[table].stream, false)]) ? {} : {
        Streams = {
          actions = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
          resources = [
            for table in uses.tables : "${local.arn.table}${table}/stream/*" if try(local.tables[table].stream, false)
          ]
        }
      },
      length(uses.buckets) == 0 ? {} : {
        Objects = {
          actions   = ["s3:GetObject", "s3:PutObject"]
          resources = [for bucket in uses.buckets : "${local.arn.bucket}${bucket}/*"]
        }
        # HeadBucket is the services' health check, and it makes a missing object a 404 instead of a 403.
        Buckets = {
          actions   = ["s3:ListBucket"]
          resources = [for bucket in uses.buckets : "${local.arn.bucket}${bucket}"]
        }
      },
      length(uses.queues) == 0 ? {} : {
        Queues = {
          actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"]
          resources = [for queue in uses.queues : "${local.arn.queue}${queue}"]
        }
        # The health check; AWS offers no narrower resource for it.
        ListQueues = {
          actions   = ["sqs:ListQueues"]
          resources = ["*"]
        }
      },
      length(concat(uses.tables, uses.buckets, uses.queues)) == 0 ? {} : { UseKeys = local.use_keys },
      {
        KafkaCluster = {
          actions   = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster", "kafka-cluster:WriteDataIdempotently"]
          resources = [local.arn.cluster]
        }
        KafkaWrite = {
          actions   = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]
          resources = [for topic in uses.writes : "${local.arn.topic}${topic}"]
        }
      },
      # A relay of a log sends its position along, in the same transaction, and reads it when it takes over.
      length(uses.transactions) == 0 ? {} : {
        KafkaTransactions = {
          actions   = ["kafka-cluster:AlterTransactionalId", "kafka-cluster:DescribeTransactionalId"]
          resources = [for name in uses.transactions : "${local.arn.transaction}${name}"]
        }
        KafkaReceipts = {
          actions   = ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData", "kafka-cluster:WriteData"]
          resources = [for name in uses.transactions : "${local.arn.topic}${name}-receipts"]
        }
      },
      length(uses.reads) == 0 ? {} : {
        KafkaRead = {
          actions   = ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"]
          resources = [for topic in uses.reads : "${local.arn.topic}${topic}"]
        }
        KafkaGroup = {
          actions   = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]
          resources = ["${local.arn.group}${service}*"]
        }
      },
    )
  }

  # By alias, since a key's id is not known before the key exists; the condition is what narrows the resource.
  use_keys = {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [local.arn.key]
    conditions = [
      { test = "ForAnyValue:StringEquals", variable = "kms:ResourceAliases", values = ["alias/${local.prefix}data"] }
    ]
  }

  operators = {
    topics = {
      namespace       = "souk"
      service_account = "topics"
      permissions = {
        KafkaCluster = { actions = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"], resources = [local.arn.cluster] }
        KafkaTopics = {
          actions = [
            "kafka-cluster:AlterTopicDynamicConfiguration", "kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic",
            "kafka-cluster:DescribeTopicDynamicConfiguration",
          ]
          resources = [for topic in keys(local.topics) : "${local.arn.topic}${topic}"]
        }
      }
    }

    external-secrets = {
      namespace       = "external-secrets"
      service_account = "external-secrets"
      permissions = {
        # Secrets Manager ends each ARN with six characters of its own choice.
        ReadSecrets = {
          actions   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
          resources = [for secret in keys(local.secrets) : "${local.arn.secret}${secret}-??????"]
        }
        UseKeys = local.use_keys
      }
    }

    cluster-autoscaler = {
      namespace       = "kube-system"
      service_account = "cluster-autoscaler"
      permissions = {
        Look = {
          actions = [
            "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingInstances",
            "autoscaling:DescribeLaunchConfigurations", "autoscaling:DescribeScalingActivities", "autoscaling:DescribeTags",
            "ec2:DescribeImages", "ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplateVersions",
            "ec2:GetInstanceTypesFromInstanceRequirements",
          ]
          resources = ["*"]
        }
        LookAtGroup = {
          actions   = ["eks:DescribeNodegroup"]
          resources = ["arn:aws:eks:${var.region}:${var.account_id}:nodegroup/${local.name}/*"]
        }
        Scale = {
          actions   = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
          resources = ["arn:aws:autoscaling:${var.region}:${var.account_id}:autoScalingGroup:*:autoScalingGroupName/eks-general-*"]
          conditions = [
            { test = "StringEquals", variable = "aws:ResourceTag/eks:cluster-name", values = [local.name] }
          ]
        }
      }
    }

    # The controller makes balancers for our ingresses; their security group is ours, so it may make or change none.
    load-balancer-controller = {
      namespace       = "kube-system"
      service_account = "aws-load-balancer-controller"
      permissions = {
        Look = {
          actions = [
            "ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:DescribeAvailabilityZones", "ec2:DescribeCoipPools",
            "ec2:DescribeInstances", "ec2:DescribeInternetGateways", "ec2:DescribeIpamPools", "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeTags",
            "ec2:DescribeVpcPeeringConnections", "ec2:DescribeVpcs",
            "elasticloadbalancing:DescribeCapacityReservation", "elasticloadbalancing:DescribeListenerAttributes",
            "elasticloadbalancing:DescribeListenerCertificates", "elasticloadbalancing:DescribeListeners",
            "elasticloadbalancing:DescribeLoadBalancerAttributes", "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeSSLPolicies", "elasticloadbalancing:DescribeTags",
            "elasticloadbalancing:DescribeTargetGroupAttributes", "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth", "elasticloadbalancing:DescribeTrustStores",
            "acm:ListCertificates",
          ]
          resources = ["*"]
        }
        LookAtCertificates = {
          actions   = ["acm:DescribeCertificate"]
          resources = ["arn:aws:acm:${var.region}:${var.account_id}:certificate/*"]
        }
        Create = {
          actions = [
            "elasticloadbalancing:AddTags", "elasticloadbalancing:CreateListener", "elasticloadbalancing:CreateLoadBalancer",
            "elasticloadbalancing:CreateRule", "elasticloadbalancing:CreateTargetGroup",
          ]
          resources = [for kind in ["loadbalancer/app/k8s-", "targetgroup/k8s-", "listener/app/k8s-", "listener-rule/app/k8s-"] :
          "arn:aws:elasticloadbalancing:${var.region}:${var.account_id}:${kind}*"]
        }
        Change = {
          actions = [
            "elasticloadbalancing:DeleteListener", "elasticloadbalancing:DeleteLoadBalancer", "elasticloadbalancing:DeleteRule",
            "elasticloadbalancing:DeleteTargetGroup", "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyListenerAttributes",
            "elasticloadbalancing:ModifyLoadBalancerAttributes", "elasticloadbalancing:ModifyRule",
            "elasticloadbalancing:ModifyTargetGroup", "elasticloadbalancing:ModifyTargetGroupAttributes",
            "elasticloadbalancing:RegisterTargets", "elasticloadbalancing:RemoveTags",
            "elasticloadbalancing:SetSecurityGroups", "elasticloadbalancing:SetSubnets",
          ]
          resources = [for kind in ["loadbalancer/app/k8s-", "targetgroup/k8s-", "listener/app/k8s-", "listener-rule/app/k8s-"] :
          "arn:aws:elasticloadbalancing:${var.region}:${var.account_id}:${kind}*"]
          conditions = [
            { test = "StringEquals", variable = "aws:ResourceTag/elbv2.k8s.aws/cluster", values = [local.name] }
          ]
        }
      }
    }
  }

  workloads = merge(
    {
      for service, permissions in local.service_permissions : "svc-${service}" => {
        namespace       = "souk"
        service_account = "svc-${service}"
        permissions     = permissions
      }
    },
    local.operators,
  )
}

module "workload" {
  source   = "../modules/aws/workload"
  for_each = local.workloads

  name            = "${local.prefix}${each.key}"
  account_id      = var.account_id
  cluster_name    = module.cluster.name
  namespace       = each.value.namespace
  service_account = each.value.service_account
  permissions     = each.value.permissions
}
