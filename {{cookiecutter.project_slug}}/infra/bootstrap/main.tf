# The environment's resource group, the storage account for the state and the plans of infra/, and the identities with
# which workflows plan and apply. `terraform -chdir=infra/bootstrap apply` creates them, and can be run again.
module "shared" {
  source       = "../shared"
  environment  = var.environment
  subscription = data.azurerm_client_config.current.subscription_id
}

module "staging" {
  source       = "../shared"
  environment  = "staging"
  subscription = data.azurerm_client_config.current.subscription_id
}

data "azurerm_client_config" "current" {}

locals {
  names         = module.shared.names
  location      = module.shared.project.azure.region
  subscription  = "/subscriptions/${data.azurerm_client_config.current.subscription_id}"
  operators     = coalesce(var.operators, [data.azurerm_client_config.current.object_id])
  in_production = var.environment == "production"
}

resource "azurerm_resource_group" "environment" {
  name     = local.names.resource_group
  location = local.location
  tags     = module.shared.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_resource_group" "state" {
  name     = local.names.state_group
  location = local.location
  tags     = module.shared.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_storage_account" "state" {
  name                            = local.names.state_storage
  resource_group_name             = azurerm_resource_group.state.name
  location                        = local.location
  account_tier                    = "Standard"
  account_replication_type        = "ZRS"
  min_tls_version                 = "TLS1_2"
  https_traffic_only_enabled      = true
  shared_access_key_enabled       = false
  default_to_oauth_authentication = true
  local_user_enabled              = false
  allow_nested_items_to_be_public = false
  public_network_access           = local.state_public_access
  tags                            = module.shared.tags

  network_rules {
    default_action = local.state_default_action
    bypass         = ["AzureServices"]
    ip_rules       = local.state_allowed_ips
  }

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = 90
    }

    container_delete_retention_policy {
      days = 90
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_storage_container" "state" {
  name                  = "tfstate"
  storage_account_id    = azurerm_storage_account.state.id
  container_access_type = "private"

  lifecycle {
    prevent_destroy = true
  }
}

# Plans between `mlops infra plan` and `mlops infra apply`. They contain secrets of the state, so CI keeps none as artifacts.
resource "azurerm_storage_container" "plans" {
  name                  = "tfplans"
  storage_account_id    = azurerm_storage_account.state.id
  container_access_type = "private"
}

# Nobody approves a plan any more after 30 days: GitHub and Azure DevOps wait no longer.
resource "azurerm_storage_management_policy" "plans" {
  storage_account_id = azurerm_storage_account.state.id

  rule {
    name    = "old-plans"
    enabled = true

    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["${azurerm_storage_container.plans.name}/"]
    }

    actions {
      base_blob {
        delete_after_days_since_modification_greater_than = 31
      }

      version {
        delete_after_days_since_creation = 31
      }
    }
  }
}

# Applies infra/, in the workflows' jobs that a reviewer approves.
resource "azurerm_user_assigned_identity" "terraform" {
  name                = local.names.terraform_identity
  resource_group_name = azurerm_resource_group.state.name
  location            = local.location
  tags                = module.shared.tags
}

# Plans infra/, in jobs that nobody approves, and can change nothing there.
resource "azurerm_user_assigned_identity" "plan" {
  name                = local.names.plan_identity
  resource_group_name = azurerm_resource_group.state.name
  location            = local.location
  tags                = module.shared.tags
}
