# Let jobs in the GitHub environments staging and production use the CI identity, without a secret.
variable "github_ids" {
  description = "The ids of the repository and its owner if its tokens contain them (repositories created, renamed or moved since July 2026); otherwise null."
  type        = object({ owner = string, repository = string })
  default     = null

  validation {
    condition     = var.github_ids == null || can(regex("^[0-9]+ [0-9]+$", "${var.github_ids.owner} ${var.github_ids.repository}"))
    error_message = "github_ids holds two numbers, such as { owner = \"1234\", repository = \"5678\" }."
  }
}

variable "github_issuer" {
  description = "Who signs the tokens; another one on GitHub Enterprise Server, and with data residency."
  type        = string
  default     = "https://token.actions.githubusercontent.com"

  validation {
    condition     = can(regex("^https://[a-z0-9][a-z0-9./_-]*[a-z0-9]$", var.github_issuer))
    error_message = "github_issuer is an address such as https://token.actions.githubusercontent.com."
  }
}

module "github" {
  source      = "./github"
  repository  = local.project.repository
  environment = var.environment
  ids         = var.github_ids
}

locals {
  federated_subject = module.github.subject
}

resource "azurerm_federated_identity_credential" "ci" {
  name                      = "github"
  user_assigned_identity_id = azurerm_user_assigned_identity.ci.id
  issuer                    = var.github_issuer
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = module.github.subject
}
