# Let two separate service connections apply and plan infra/: the ones that train and release can do neither.
# Applied by `terraform -chdir=infra/bootstrap apply`.
variable "azure_devops" {
  description = "Issuer and subject from the draft of the service connection that applies; null before it exists."
  type        = object({ issuer = string, subject = string })
  default     = null

  validation {
    condition = var.azure_devops == null || can(regex(
      "^https://(login\\.microsoftonline\\.com/[0-9a-f-]{36}/v2\\.0|vstoken\\.dev\\.azure\\.com/[0-9a-f-]{36})$", var.azure_devops.issuer
    ))
    error_message = "The issuer is https://login.microsoftonline.com/TENANT/v2.0, or https://vstoken.dev.azure.com/ORGANIZATION of older connections."
  }

  validation {
    condition     = var.azure_devops == null || can(regex("^(sc://[^/]+/[^/]+/[^/]+|/eid1/[^ ]+/sc/[^ ]+)$", var.azure_devops.subject))
    error_message = "The subject is that of a service connection: /eid1/.../sc/..., or sc://ORGANIZATION/PROJECT/CONNECTION of older ones."
  }
}

variable "azure_devops_plan" {
  description = "As azure_devops, of the service connection that only plans."
  type        = object({ issuer = string, subject = string })
  default     = null

  validation {
    condition = var.azure_devops_plan == null || can(regex(
      "^https://(login\\.microsoftonline\\.com/[0-9a-f-]{36}/v2\\.0|vstoken\\.dev\\.azure\\.com/[0-9a-f-]{36})$", var.azure_devops_plan.issuer
    ))
    error_message = "The issuer is https://login.microsoftonline.com/TENANT/v2.0, or https://vstoken.dev.azure.com/ORGANIZATION of older connections."
  }

  validation {
    condition     = var.azure_devops_plan == null || can(regex("^(sc://[^/]+/[^/]+/[^/]+|/eid1/[^ ]+/sc/[^ ]+)$", var.azure_devops_plan.subject))
    error_message = "The subject is that of a service connection: /eid1/.../sc/..., or sc://ORGANIZATION/PROJECT/CONNECTION of older ones."
  }
}

resource "azurerm_federated_identity_credential" "terraform" {
  count = var.azure_devops == null ? 0 : 1

  name                      = "azure-devops"
  user_assigned_identity_id = azurerm_user_assigned_identity.terraform.id
  issuer                    = var.azure_devops.issuer
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = var.azure_devops.subject
}

resource "azurerm_federated_identity_credential" "plan" {
  count = var.azure_devops_plan == null ? 0 : 1

  name                      = "azure-devops"
  user_assigned_identity_id = azurerm_user_assigned_identity.plan.id
  issuer                    = var.azure_devops_plan.issuer
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = var.azure_devops_plan.subject
}
