# The token subject of jobs in a GitHub environment, for infra/ and infra/bootstrap/.
variable "repository" {
  description = "owner/name."
  type        = string
}

variable "environment" {
  description = "The GitHub environment of the job."
  type        = string
}

variable "ids" {
  description = "The ids of the repository and its owner if its tokens contain them; otherwise null."
  type        = object({ owner = string, repository = string })
}

locals {
  parts      = split("/", var.repository)
  repository = var.ids == null ? var.repository : "${local.parts[0]}@${var.ids.owner}/${local.parts[1]}@${var.ids.repository}"
}

output "subject" {
  description = "The subject of the tokens."
  value       = "repo:${local.repository}:environment:${var.environment}"
}
