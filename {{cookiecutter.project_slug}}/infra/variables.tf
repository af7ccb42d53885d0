# Settings of an apply: `terraform -chdir=infra apply -var environment=staging`.
# The project's settings are in project.yml.
variable "environment" {
  description = "The environment to build: staging or production."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production."
  }
}

variable "alert_email" {
  description = "The recipient of alerts and budget warnings, besides the subscription's owners."
  type        = string
  default     = null

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "alert_email is an address such as team@example.com."
  }
}

variable "monthly_budget" {
  description = "The resource group's budget per month, in the subscription's billing currency."
  type        = number
  default     = 300

  validation {
    condition     = var.monthly_budget >= 1
    error_message = "monthly_budget is 1 or more."
  }
}

variable "max_latency_ms" {
  description = "The mean response time in milliseconds above which an alert fires."
  type        = number
  default     = 1000

  validation {
    condition     = var.max_latency_ms > 0
    error_message = "max_latency_ms is more than 0."
  }
}

variable "log_retention_days" {
  description = "The retention of logs in days; the first 31 days are free."
  type        = number
  default     = 30

  validation {
    condition     = var.log_retention_days >= 30 && var.log_retention_days <= 730
    error_message = "log_retention_days is from 30 to 730."
  }
}

variable "log_daily_gb" {
  description = "The daily cap on logs in gigabytes; logs are most of an idle environment's cost."
  type        = number
  default     = 1

  validation {
    condition     = var.log_daily_gb >= 0.1
    error_message = "log_daily_gb is 0.1 or more."
  }
}

variable "address_space" {
  description = "The environment's address range, a /16 to /21, which the subnets divide; null for 10.20.0.0/20 in staging, 10.21.0.0/20 in production."
  type        = string
  default     = null

  validation {
    condition     = var.address_space == null || can(cidrhost(var.address_space, 0)) && try(tonumber(split("/", var.address_space)[1]) >= 16 && tonumber(split("/", var.address_space)[1]) <= 21, false)
    error_message = "address_space is a range such as 10.20.0.0/20, of /16 to /21."
  }
}
