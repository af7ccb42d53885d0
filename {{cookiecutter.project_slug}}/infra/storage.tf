# The workspace's files: data, models, job logs. Access is by identity, as in `mlops run`; there are no keys.
resource "azurerm_storage_account" "this" {
  name                            = local.names.storage
  resource_group_name             = local.group
  location                        = local.location
  account_tier                    = "Standard"
  account_replication_type        = local.in_production ? "ZRS" : "LRS"
  min_tls_version                 = "TLS1_2"
  https_traffic_only_enabled      = true
  shared_access_key_enabled       = false
  default_to_oauth_authentication = true
  local_user_enabled              = false
  allow_nested_items_to_be_public = false
  public_network_access           = local.public_access ? "Enabled" : "Disabled"
  tags                            = local.tags

  network_rules {
    default_action = local.public_access ? "Allow" : "Deny"
    bypass         = ["AzureServices"]
  }

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = 30
    }

    container_delete_retention_policy {
      days = 30
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

# Training data and files to score, separate from Azure ML's containers.
resource "azurerm_storage_container" "data" {
  name                  = "data"
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_machine_learning_datastore_blobstorage" "data" {
  name                       = "data"
  workspace_id               = azurerm_machine_learning_workspace.this.id
  storage_container_id       = azurerm_storage_container.data.id
  service_data_auth_identity = "WorkspaceSystemAssignedIdentity"
  tags                       = local.tags
}
