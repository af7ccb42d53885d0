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
  issuer                    = module.github["infra"].issuer
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = module.github["infra"].subject
}

resource "azurerm_federated_identity_credential" "plan" {
  name                      = "github"
  user_assigned_identity_id = azurerm_user_assigned_identity.plan.id
  issuer                    = module.github["plan"].issuer
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = module.github["plan"].subject
}
