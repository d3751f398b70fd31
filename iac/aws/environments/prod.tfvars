environment = "prod"
account_id  = "333333333333"
owner       = "platform"
cost_center = "shop"

cidr            = "10.40.0.0/16"
zones           = ["ap-south-1a", "ap-south-1b", "ap-south-1c"]
nat_per_zone    = true
analytics_cidrs = ["10.60.32.0/20"]

cluster_administrators = { platform = "arn:aws:iam::333333333333:role/platform" }
node_instance_types    = ["m7g.xlarge"]
nodes                  = { min = 3, desired = 3, max = 12 }

database_instance_class = "db.m7g.large"
database_storage_gib    = 200
database_multi_az       = true
database_backup_days    = 35

broker_instance_type = "kafka.m7g.large"
broker_storage_gib   = 500

notify_concurrency = 50
notify_package     = "notify.zip"
mail_domain        = "souk.example"
browser_origins    = ["https://souk.example"]
github_repository  = "souk-example/souk"
alarm_emails       = ["platform@souk.example"]
monthly_budget_usd = 4000
log_retention_days = 90
