# Let jobs in the GitHub environments staging-infra and production-infra apply infra/, and those in staging-plan and
# production-plan plan it: jobs that train and release can do neither. Applied by `terraform -chdir=infra/bootstrap apply`.
variable "github_ids" {
  description = "As in infra/github.tf: the ids of the repository and its owner, or null."
  type        = object({ owner = string, repository = string })
  default     = null

  validation {
    condition     = var.github_ids == null || can(regex("^[0-9]+ [0-9]+$", "${var.github_ids.owner} ${var.github_ids.repository}"))
    error_message = "github_ids holds two numbers, such as { owner = \"1234\", repository = \"5678\" }."
  }
}

variable "github_issuer" {
  description = "As in infra/github.tf: who signs the tokens."
  type        = string
  default     = "https://token.actions.githubusercontent.com"

  validation {
    condition     = can(regex("^https://[a-z0-9][a-z0-9./_-]*[a-z0-9]$", var.github_issuer))
    error_message = "github_issuer is an address such as https://token.actions.githubusercontent.com."
  }
}

module "github" {
  for_each = toset(["infra", "plan"])

  source      = "../github"
  repository  = module.shared.project.repository
  environment = "${var.environment}-${each.key}"
  ids         = var.github_ids
}

resource "azurerm_federated_identity_credential" "terraform" {
  name                      = "github"
  user_assigned_identity_id = azurerm_user_assigned_identity.terraform.id
  issuer                    = var.github_issuer
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = module.github["infra"].subject
}

resource "azurerm_federated_identity_credential" "plan" {
  name                      = "github"
  user_assigned_identity_id = azurerm_user_assigned_identity.plan.id
  issuer                    = var.github_issuer
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = module.github["plan"].subject
}
