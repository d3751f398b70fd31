# The platform on AWS, in the order in which one would explain it.

module "key" {
  source = "../modules/aws/key"

  for_each = {
    data    = { description = "Orders, accounts, events, images, secrets", services = ["cloudwatch.amazonaws.com"] }
    cluster = { description = "Kubernetes' secrets", services = [] }
    logs    = { description = "Logs", services = ["logs.${var.region}.amazonaws.com"] }
  }

  name            = "${local.prefix}${each.key}"
  description     = each.value.description
  services        = each.value.services
  account_id      = var.account_id
  allow_data_loss = var.allow_data_loss
}

module "watch" {
  source = "../modules/aws/watch"

  name               = local.name
  region             = var.region
  account_id         = var.account_id
  key_id             = module.key["data"].alias
  alarm_emails       = var.alarm_emails
  monthly_budget_usd = var.monthly_budget_usd
}

module "network" {
  source = "../modules/aws/network"

  name               = local.name
  region             = var.region
  account_id         = var.account_id
  cidr               = var.cidr
  foreign_cidrs      = var.analytics_cidrs
  zones              = var.zones
  nat_per_zone       = var.nat_per_zone
  log_retention_days = var.log_retention_days
  log_key_arn        = module.key["logs"].arn
}

module "cluster" {
  source = "../modules/aws/cluster"

  name                        = local.name
  kubernetes_version          = var.kubernetes_version
  subnet_ids                  = module.network.private_subnet_ids
  workloads_security_group_id = module.network.workloads_security_group_id
  public_access_cidrs         = var.cluster_public_access_cidrs
  administrators              = var.cluster_administrators
  instance_types              = var.node_instance_types
  nodes                       = var.nodes
  instance_tags               = local.tags
  key_arn                     = module.key["cluster"].arn
  log_retention_days          = var.log_retention_days
  log_key_arn                 = module.key["logs"].arn
}

module "database" {
  source = "../modules/aws/database"

  name                        = local.name
  account_id                  = var.account_id
  vpc_id                      = module.network.vpc_id
  subnet_ids                  = module.network.data_subnet_ids
  workloads_security_group_id = module.network.workloads_security_group_id
  instance_class              = var.database_instance_class
  storage_gib                 = var.database_storage_gib
  multi_az                    = var.database_multi_az
  backup_days                 = var.database_backup_days
  key_arn                     = module.key["data"].arn
  log_retention_days          = var.log_retention_days
  log_key_arn                 = module.key["logs"].arn
  alarm_topic_arn             = module.watch.alarm_topic_arn
  allow_data_loss             = var.allow_data_loss
}

module "broker" {
  source = "../modules/aws/broker"

  name                        = local.name
  vpc_id                      = module.network.vpc_id
  subnet_ids                  = module.network.data_subnet_ids
  workloads_security_group_id = module.network.workloads_security_group_id
  client_cidrs                = var.analytics_cidrs
  instance_type               = var.broker_instance_type
  storage_gib                 = var.broker_storage_gib
  key_arn                     = module.key["data"].arn
  log_retention_days          = var.log_retention_days
  log_key_arn                 = module.key["logs"].arn
  alarm_topic_arn             = module.watch.alarm_topic_arn
}

module "table" {
  source   = "../modules/aws/table"
  for_each = local.tables

  name            = "${local.prefix}${each.key}"
  key             = each.value.key
  sort            = try(each.value.sort, null)
  indexes         = try(each.value.indexes, {})
  ttl             = try(each.value.ttl, null)
  stream          = try(each.value.stream, false)
  key_arn         = module.key["data"].arn
  allow_data_loss = var.allow_data_loss
}

module "bucket" {
  source   = "../modules/aws/bucket"
  for_each = local.buckets

  name                  = "${local.prefix}${each.key}"
  key_arn               = module.key["data"].arn
  infrequent_after_days = try(each.value.infrequent_after_days, null)
  expire_after_days     = try(each.value.expire_after_days, null)
  browser_origins       = try(each.value.browser_origins, [])
  allow_data_loss       = var.allow_data_loss
}

module "queue" {
  source   = "../modules/aws/queue"
  for_each = local.queues

  name               = "${local.prefix}${each.key}"
  region             = var.region
  account_id         = var.account_id
  key_id             = module.key["data"].alias
  visibility_seconds = each.value.visibility_seconds
  max_receives       = try(each.value.max_receives, null)
  alarm_topic_arn    = module.watch.alarm_topic_arn
}

module "mail" {
  source = "../modules/aws/mail"

  name   = local.name
  domain = var.mail_domain
}

module "notify" {
  source = "../modules/aws/function"

  name               = "${local.prefix}notify"
  region             = var.region
  account_id         = var.account_id
  package            = var.notify_package
  handler            = "handler.handle"
  concurrency        = var.notify_concurrency
  queue_name         = "${local.prefix}notifications"
  queue_arn          = module.queue["notifications"].arn
  key_arn            = module.key["data"].arn
  key_alias          = module.key["data"].alias
  log_retention_days = var.log_retention_days
  log_key_arn        = module.key["logs"].arn
  alarm_topic_arn    = module.watch.alarm_topic_arn

  environment = merge(var.notify_environment, {
    NOTIFICATIONS_TABLE = module.table["notifications"].name
    NOTIFY_SENDER       = local.sender
  })

  permissions = {
    RecordNotifications = {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = ["${local.arn.table}notifications"]
    }
    SendMails = {
      actions   = ["ses:SendEmail"]
      resources = ["${local.arn.identity}${var.mail_domain}", "arn:aws:ses:${var.region}:${var.account_id}:configuration-set/${local.name}"]
    }
  }
}

module "secret" {
  source   = "../modules/aws/secret"
  for_each = local.secrets

  name            = "${local.prefix}${each.key}"
  description     = each.value
  key_arn         = module.key["data"].arn
  allow_data_loss = var.allow_data_loss
}

module "registry" {
  source   = "../modules/aws/registry"
  for_each = toset(local.images)

  name            = "${local.name}/${each.key}"
  key_arn         = module.key["data"].arn
  allow_data_loss = var.allow_data_loss
}

module "deployer" {
  source = "../modules/aws/deployer"

  name               = "${local.prefix}deployer"
  region             = var.region
  account_id         = var.account_id
  create_provider    = var.create_github_provider
  repository         = var.github_repository
  environment        = var.environment
  image_repositories = [for image in local.images : "${local.name}/${image}"]
}

locals {
  sender = "orders@${var.mail_domain}"
}
