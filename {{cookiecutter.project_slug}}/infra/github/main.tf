# Who a job of a GitHub environment is to Azure: the subject of its tokens. infra/ and infra/bootstrap/ use it.
variable "repository" {
  description = "owner/name."
  type        = string
}

variable "environment" {
  description = "The GitHub environment of the job."
  type        = string
}

variable "ids" {
  description = "The ids of the repository and its owner, where the repository's tokens carry them; null where they don't."
  type        = object({ owner = string, repository = string })
}

locals {
  parts      = split("/", var.repository)
  repository = var.ids == null ? var.repository : "${local.parts[0]}@${var.ids.owner}/${local.parts[1]}@${var.ids.repository}"
}

output "issuer" {
  description = "Who issues the tokens."
  value       = "https://token.actions.githubusercontent.com"
}

output "subject" {
  description = "Whom they are about."
  value       = "repo:${local.repository}:environment:${var.environment}"
}
