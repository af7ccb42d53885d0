# Lets a service connection of its own be the identity of Terraform: those that train and release cannot change the
# infrastructure. `terraform -chdir=infra/bootstrap apply` reads it.
variable "azure_devops" {
  description = "Issuer and subject as the draft of the service connection shows them; null until there is one."
  type        = object({ issuer = string, subject = string })
  default     = null
}

module "azure_devops" {
  source     = "../azure_devops"
  connection = var.azure_devops
}

resource "azurerm_federated_identity_credential" "terraform" {
  count = var.azure_devops == null ? 0 : 1

  name                      = "azure-devops"
  user_assigned_identity_id = azurerm_user_assigned_identity.terraform.id
  issuer                    = module.azure_devops.issuer
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = module.azure_devops.subject
}
