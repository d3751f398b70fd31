environment = "staging"
owner       = "platform"
cost_center = "shop"

gcp_project        = "souk-staging-analytics"
gcp_project_number = "222222222222"
billing_account    = "000000-000000-000000"
aws_account_id     = "222222222222"

cidr         = "10.60.16.0/20"
machine_type = "n2-standard-2"
masters      = 1
workers      = { min = 2, max = 3, secondary = 2 }

job_release  = "0.1.0"
job_account  = "102000000000000000000"
results_days = 90
readers      = ["group:analysts@souk.example"]

alarm_emails       = ["platform-staging@souk.example"]
monthly_budget_usd = 900
