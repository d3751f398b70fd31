environment = "staging"
account_id  = "222222222222"
owner       = "platform"
cost_center = "shop"

cidr            = "10.30.0.0/16"
zones           = ["ap-south-1a", "ap-south-1b", "ap-south-1c"]
nat_per_zone    = false
analytics_cidrs = ["10.60.16.0/20"]

cluster_administrators = { platform = "arn:aws:iam::222222222222:role/platform" }
node_instance_types    = ["m7g.large"]
nodes                  = { min = 3, desired = 3, max = 6 }

database_instance_class = "db.t4g.medium"
database_storage_gib    = 50
database_multi_az       = true
database_backup_days    = 7

broker_instance_type = "kafka.t3.small"
broker_storage_gib   = 100

notify_concurrency = 10
notify_package     = "notify.zip"
mail_domain        = "staging.souk.example"
browser_origins    = ["https://staging.souk.example"]
github_repository  = "souk-example/souk"
alarm_emails       = ["platform-staging@souk.example"]
monthly_budget_usd = 1300
log_retention_days = 30
