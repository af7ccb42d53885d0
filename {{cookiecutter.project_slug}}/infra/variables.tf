# What may differ from one apply to the next: `terraform -chdir=infra apply -var environment=staging`.
# All that belongs to the project is in project.yml.
variable "environment" {
  description = "The environment to build: staging or production."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production."
  }
}

variable "alert_email" {
  description = "Who hears of alerts and of the budget, besides the owners of the subscription."
  type        = string
  default     = null

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "alert_email is an address such as team@example.com."
  }
}

variable "monthly_budget" {
  description = "What the resource group may cost in a month, in the currency of the subscription's bill."
  type        = number
  default     = 300

  validation {
    condition     = var.monthly_budget >= 1
    error_message = "monthly_budget is 1 or more."
  }
}

variable "max_latency_ms" {
  description = "Mean time of an answer in milliseconds from which an alert is raised."
  type        = number
  default     = 1000

  validation {
    condition     = var.max_latency_ms > 0
    error_message = "max_latency_ms is more than 0."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept; the first 31 days cost nothing."
  type        = number
  default     = 30

  validation {
    condition     = var.log_retention_days >= 30 && var.log_retention_days <= 730
    error_message = "log_retention_days is from 30 to 730."
  }
}

variable "log_daily_gb" {
  description = "Gigabytes of logs a day after which no more are taken; they are most of what an idle environment costs."
  type        = number
  default     = 1

  validation {
    condition     = var.log_daily_gb >= 0.1
    error_message = "log_daily_gb is 0.1 or more."
  }
}

variable "address_space" {
  description = "The environment's addresses, a /16 to /21: from them come the subnets."
  type        = string
  default     = "10.20.0.0/20"

  validation {
    condition     = can(cidrhost(var.address_space, 0)) && try(tonumber(split("/", var.address_space)[1]) >= 16 && tonumber(split("/", var.address_space)[1]) <= 21, false)
    error_message = "address_space is a range such as 10.20.0.0/20, of /16 to /21."
  }
}
