environment = "prod"
owner       = "platform"
cost_center = "shop"

gcp_project        = "souk-prod-analytics"
gcp_project_number = "333333333333"
billing_account    = "000000-000000-000000"
aws_account_id     = "333333333333"

cidr         = "10.60.32.0/20"
machine_type = "n2-standard-4"
masters      = 3
workers      = { min = 2, max = 6, secondary = 8 }

job_release  = "0.1.0"
job_account  = "103000000000000000000"
results_days = 730
readers      = ["group:analysts@souk.example"]

alarm_emails       = ["platform@souk.example"]
monthly_budget_usd = 3000
