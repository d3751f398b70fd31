environment = "dev"
owner       = "platform"
cost_center = "shop"

gcp_project        = "souk-dev-analytics"
gcp_project_number = "111111111111"
billing_account    = "000000-000000-000000"
aws_account_id     = "111111111111"

cidr         = "10.60.0.0/20"
machine_type = "e2-standard-2"
masters      = 1
workers      = { min = 2, max = 2, secondary = 0 }

job_release  = "0.1.0"
job_account  = "101000000000000000000"
results_days = 30
readers      = ["group:analysts@souk.example"]

alarm_emails       = ["platform-dev@souk.example"]
monthly_budget_usd = 700
