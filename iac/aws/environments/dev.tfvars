environment = "dev"
account_id  = "111111111111"
owner       = "platform"
cost_center = "shop"

cidr            = "10.20.0.0/16"
zones           = ["ap-south-1a", "ap-south-1b", "ap-south-1c"]
nat_per_zone    = false
analytics_cidrs = ["10.60.0.0/20"]

cluster_administrators = { platform = "arn:aws:iam::111111111111:role/platform" }
node_instance_types    = ["t4g.large"]
nodes                  = { min = 3, desired = 3, max = 4 }

database_instance_class = "db.t4g.small"
database_storage_gib    = 20
database_multi_az       = false
database_backup_days    = 7

broker_instance_type = "kafka.t3.small"
broker_storage_gib   = 20

notify_concurrency = 5
notify_package     = "notify.zip"
mail_domain        = "dev.souk.example"
browser_origins    = ["https://dev.souk.example"]
github_repository  = "souk-example/souk"
alarm_emails       = ["platform-dev@souk.example"]
monthly_budget_usd = 800
log_retention_days = 14
