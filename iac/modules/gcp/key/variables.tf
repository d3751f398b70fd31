variable "name" {
  description = "Prefix of every name, e.g. `souk-prod`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,49}$", var.name)) && !endswith(var.name, "-")
    error_message = "name must be 2 to 50 lower-case letters, digits and hyphens, starting with a letter and not ending in a hyphen."
  }
}

variable "project" {
  description = "The Google Cloud project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be the id of a Google Cloud project: 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "The Google Cloud region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a Google Cloud region such as asia-south1."
  }
}

variable "users" {
  description = "E-mail addresses of the service agents that encrypt with it, by a name of your choice."
  type        = map(string)

  validation {
    condition     = alltrue([for address in values(var.users) : endswith(address, ".gserviceaccount.com")])
    error_message = "users must be service accounts, which end in .gserviceaccount.com: people use what is encrypted, not the key."
  }
}
