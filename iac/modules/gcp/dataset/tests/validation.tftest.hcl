# What the module takes, and each thing that it refuses.

mock_provider "google" {}

variables {
  name        = "analytics"
  project     = "souk-prod-analytics"
  region      = "asia-south1"
  description = "Minutes of orders"
  key_id      = "projects/souk-prod-analytics/locations/asia-south1/keyRings/souk-prod/cryptoKeys/data"
  tables      = { minutes = { description = "Minutes", partition_by = "at", columns = [{ name = "at", type = "TIMESTAMP", mode = "REQUIRED" }] } }
  access      = { job = { member = "serviceAccount:job@souk-prod-analytics.iam.gserviceaccount.com", role = "roles/bigquery.dataEditor" } }
}

run "example_works" {
  command = plan

  module {
    source = "./example"
  }
}

run "refuses_name" {
  command = plan

  variables {
    name = "Analytics-1"
  }

  expect_failures = [var.name]
}

run "refuses_project" {
  command = plan

  variables {
    project = "Souk"
  }

  expect_failures = [var.project]
}

run "refuses_region" {
  command = plan

  variables {
    region = "Mumbai"
  }

  expect_failures = [var.region]
}

run "refuses_key_id" {
  command = plan

  variables {
    key_id = "data"
  }

  expect_failures = [var.key_id]
}

run "refuses_tables" {
  command = plan

  variables {
    tables = { minutes = { description = "Minutes", partition_by = "at", columns = [{ name = "at", type = "STRING" }] } }
  }

  expect_failures = [var.tables]
}

run "refuses_tables_2" {
  command = plan

  variables {
    tables = { minutes = { description = "Minutes", partition_by = "at", columns = [{ name = "at", type = "TIMESTAMP", mode = "MAYBE" }] } }
  }

  expect_failures = [var.tables]
}

run "refuses_access" {
  command = plan

  variables {
    access = { all = { member = "group:all@souk.example", role = "roles/owner" } }
  }

  expect_failures = [var.access]
}

run "refuses_access_2" {
  command = plan

  variables {
    access = { all = { member = "allUsers", role = "roles/bigquery.dataViewer" } }
  }

  expect_failures = [var.access]
}

run "refuses_description" {
  command = plan

  variables {
    description = ""
  }

  expect_failures = [var.description]
}
