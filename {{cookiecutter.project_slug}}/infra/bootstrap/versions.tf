# To run before infra/, once per environment, by hand:
#   terraform -chdir=infra/bootstrap init
#   terraform -chdir=infra/bootstrap apply -state=staging.tfstate -var environment=staging
# The state stays in that file, which git ignores, because no storage account exists yet.
terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.10"
    }
  }
}

# Subscription and login come from the environment: ARM_SUBSCRIPTION_ID and `az login`.
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
