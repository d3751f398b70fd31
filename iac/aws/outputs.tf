output "settings" {
  description = "What every service is told of AWS (SOUK_* variables)."
  value = {
    SOUK_AWS_REGION = var.region
    SOUK_AWS_PREFIX = local.prefix
  }

  # True only once there is something of that name; and so it is told when a part of the stack is applied.
  depends_on = [module.table, module.bucket, module.queue]
}

output "kafka" {
  description = "What every service is told of Kafka (SOUK_* variables)."
  value = {
    SOUK_KAFKA_BOOTSTRAP = module.broker.bootstrap
    SOUK_KAFKA_PREFIX    = ""
    SOUK_KAFKA_SECURITY  = "iam"
  }
}

output "cluster" {
  description = "How to reach Kubernetes."
  value = {
    name                  = module.cluster.name
    endpoint              = module.cluster.endpoint
    certificate_authority = module.cluster.certificate_authority
  }
}

output "database" {
  description = "How to reach PostgreSQL; the master's password is in the secret."
  value = {
    host          = module.database.host
    port          = module.database.port
    master_secret = module.database.master_secret_arn
  }
}

output "tables" {
  description = "Names of the tables, by logical name."
  value       = { for table, made in module.table : table => made.name }
}

output "buckets" {
  description = "Names of the buckets, by logical name."
  value       = { for bucket, made in module.bucket : bucket => made.name }
}

output "queues" {
  description = "Names of the queues and of their dead letters, and how often a message is given out before it is one, by logical name."
  value = {
    for queue, made in module.queue : queue => {
      name         = made.name
      url          = made.url
      dead_letters = made.dead_letters_name
      max_receives = made.max_receives
    }
  }
}

output "topics" {
  description = "Kafka topics that the job `topics` makes."
  value       = local.topics
}

output "secrets" {
  description = "Names of the secrets to be filled in, by logical name."
  value       = { for secret, made in module.secret : secret => made.name }
}

output "workloads" {
  description = "Namespace, service account and role of each workload."
  value = {
    for workload, made in module.workload : workload => {
      namespace       = local.workloads[workload].namespace
      service_account = local.workloads[workload].service_account
      role_arn        = made.role_arn
    }
  }
}

output "images" {
  description = "Where each image is pushed to."
  value       = { for image, made in module.registry : image => made.url }
}

output "ingress" {
  description = "What the ingress names: its security group."
  value       = { security_group_id = module.network.balancer_security_group_id }
}

output "deployer_role_arn" {
  description = "Role that GitHub's workflows take."
  value       = module.deployer.role_arn
}

output "notify_function" {
  description = "Name of the Lambda that sends mails."
  value       = module.notify.name
}

output "dkim_records" {
  description = "DNS records that prove the mail domain."
  value       = module.mail.dkim_records
}

output "analytics" {
  description = "What the stack on Google Cloud is told as `aws_side`."
  value = {
    vpc_id          = module.network.vpc_id
    vpc_cidr        = var.cidr
    route_table_id  = module.network.data_route_table_id
    kafka_bootstrap = module.broker.bootstrap
  }
}
