# What the module takes, and each thing that it refuses.

mock_provider "google" {}

variables {
  name           = "souk-prod-release"
  description    = "Releases of the job"
  project        = "souk-prod-analytics"
  project_number = "123456789012"
  project_roles  = ["roles/dataproc.worker"]
  aws_role       = { account_id = "333333333333", name = "souk-prod-deployer" }
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
    name = "me"
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

run "refuses_project_number" {
  command = plan

  variables {
    project_number = "souk"
  }

  expect_failures = [var.project_number]
}

run "refuses_project_roles" {
  command = plan

  variables {
    project_roles = ["roles/editor"]
  }

  expect_failures = [var.project_roles]
}

run "refuses_aws_role" {
  command = plan

  variables {
    aws_role = { account_id = "1234", name = "souk" }
  }

  expect_failures = [var.aws_role]
}

run "refuses_description" {
  command = plan

  variables {
    description = ""
  }

  expect_failures = [var.description]
}
