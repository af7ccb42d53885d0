# What `terraform -chdir=infra init` needs: Terraform, the provider, and where the state is.
terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.10"
    }
  }

  # Each environment has an account of its own, which infra/bootstrap/ makes: `init` names it.
  backend "azurerm" {
    container_name   = "tfstate"
    key              = "infra.tfstate"
    use_azuread_auth = true
  }
}

# The subscription and the login come from outside: ARM_SUBSCRIPTION_ID, and `az login` or OIDC.
provider "azurerm" {
  resource_provider_registrations = "none" # infra/bootstrap/ registers them
  storage_use_azuread             = true

  features {
    storage {
      data_plane_available = false # so that a plan needs no way to the blobs, which may be private
    }
  }
}
