# Lets the service connection of the Azure DevOps project be the identity of CI, without any secret.
variable "azure_devops" {
  description = "Issuer and subject as the draft of the service connection shows them; null until there is one."
  type        = object({ issuer = string, subject = string })
  default     = null
}

module "azure_devops" {
  source     = "./azure_devops"
  connection = var.azure_devops
}

locals {
  federated_subject = module.azure_devops.subject
}

resource "azurerm_federated_identity_credential" "ci" {
  count = var.azure_devops == null ? 0 : 1

  name                      = "azure-devops"
  user_assigned_identity_id = azurerm_user_assigned_identity.ci.id
  issuer                    = module.azure_devops.issuer
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = module.azure_devops.subject
}
