# What comes before infra/, once for each environment, by a person:
#   terraform -chdir=infra/bootstrap init
#   terraform -chdir=infra/bootstrap apply -state=staging.tfstate -var environment=staging
# Its own state stays in that file, which git ignores: there is nowhere else to keep it yet.
terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.10"
    }
  }
}

# The subscription and the login come from outside: ARM_SUBSCRIPTION_ID and `az login`.
provider "azurerm" {
  resource_provider_registrations = "none"
  storage_use_azuread             = true

  resource_providers_to_register = [
    "Microsoft.Compute",
    "Microsoft.Consumption",
    "Microsoft.ContainerInstance",
    "Microsoft.ContainerRegistry",
    "Microsoft.ContainerService",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.KubernetesConfiguration",
    "Microsoft.MachineLearningServices",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.PolicyInsights",
    "Microsoft.Storage",
  ]

  features {
    storage {
      data_plane_available = false
    }
  }
}
