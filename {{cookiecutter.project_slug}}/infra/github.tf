# Lets the jobs of the repository's GitHub environment be the identity of CI, without any secret.
variable "github_ids" {
  description = "The ids of the repository and its owner, where the repository's tokens carry them (made, renamed or moved since July 2026); null where they don't."
  type        = object({ owner = string, repository = string })
  default     = null

  validation {
    condition     = var.github_ids == null || can(regex("^[0-9]+ [0-9]+$", "${var.github_ids.owner} ${var.github_ids.repository}"))
    error_message = "github_ids holds two numbers, such as { owner = \"1234\", repository = \"5678\" }."
  }
}

locals {
  repository        = split("/", local.project.repository)
  github_repository = var.github_ids == null ? local.project.repository : "${local.repository[0]}@${var.github_ids.owner}/${local.repository[1]}@${var.github_ids.repository}"
  federated_subject = "repo:${local.github_repository}:environment:${var.environment}"
}

resource "azurerm_federated_identity_credential" "ci" {
  name                      = "github"
  user_assigned_identity_id = azurerm_user_assigned_identity.ci.id
  issuer                    = "https://token.actions.githubusercontent.com"
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = local.federated_subject
}
