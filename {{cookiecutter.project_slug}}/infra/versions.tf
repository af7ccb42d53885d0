# Terraform, the provider, and the state's location, for `terraform -chdir=infra init`.
terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.10"
    }
  }

  # Each environment has a storage account, created by infra/bootstrap/ and passed to `init`.
  backend "azurerm" {
    container_name   = "tfstate"
    key              = "infra.tfstate"
    use_azuread_auth = true
  }
}

# Subscription and login come from the environment: ARM_SUBSCRIPTION_ID, and `az login` or OIDC.
provider "azurerm" {
  resource_provider_registrations = "none" # infra/bootstrap/ registers them
  storage_use_azuread             = true

  features {
    storage {
      data_plane_available = false # a plan must not need the blobs, which may be private
    }
  }
}
