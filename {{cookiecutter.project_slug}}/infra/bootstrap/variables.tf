# Settings of a run of infra/bootstrap/.
variable "environment" {
  description = "The environment to prepare: staging or production, staging first."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production."
  }
}

variable "operators" {
  description = "Object ids of the people or groups that may run Terraform by hand; null for the current user."
  type        = set(string)
  default     = null

  validation {
    condition     = alltrue([for id in coalesce(var.operators, []) : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", id))])
    error_message = "operators holds object ids such as 00000000-0000-0000-0000-000000000000."
  }
}
