# The Azure ML workspace, its dependencies, and the cluster for jobs. Used by every verb with `--on azureml`.
resource "azurerm_key_vault" "this" {
  name                          = local.names.key_vault
  resource_group_name           = local.group
  location                      = local.location
  tenant_id                     = data.azurerm_client_config.current.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = local.public_access
  tags                          = local.tags

  network_acls {
    default_action = local.public_access ? "Allow" : "Deny"
    bypass         = "AzureServices"
  }

  lifecycle {
    prevent_destroy = true
  }
}

# The image of jobs and endpoints: `mlops run` builds it in staging's registry, `mlops deploy production` copies it.
resource "azurerm_container_registry" "this" {
  name                                  = local.names.registry
  resource_group_name                   = local.group
  location                              = local.location
  sku                                   = local.registry_sku
  admin_enabled                         = false
  anonymous_pull_enabled                = false
  public_network_access_enabled         = local.public_access
  network_rule_bypass_option            = "AzureServices"
  network_rule_bypass_for_tasks_enabled = local.builds_images && !local.public_access # for the task of network_private.tf
  tags                                  = local.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_machine_learning_workspace" "this" {
  name                          = local.names.workspace
  friendly_name                 = "${local.project.project} ${var.environment}"
  resource_group_name           = local.group
  location                      = local.location
  storage_account_id            = azurerm_storage_account.this.id
  key_vault_id                  = azurerm_key_vault.this.id
  container_registry_id         = azurerm_container_registry.this.id
  application_insights_id       = azurerm_application_insights.this.id
  storage_account_access_type   = "Identity"
  public_network_access_enabled = local.public_access
  tags                          = local.tags

  # Azure gives the workspace's own identity its roles. Monitoring reads the collected data with the other.
  identity {
    type         = "SystemAssigned, UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.jobs.id]
  }

  managed_network {
    isolation_mode                = local.isolation_mode
    provision_on_creation_enabled = !local.public_access
  }

  lifecycle {
    prevent_destroy = true
  }
}

# Scales to zero when idle. Size and tier are azure.compute in project.yml.
resource "azurerm_machine_learning_compute_cluster" "this" {
  name                          = local.names.compute
  machine_learning_workspace_id = azurerm_machine_learning_workspace.this.id
  location                      = local.location
  vm_size                       = local.project.azure.compute.size
  vm_priority                   = local.project.azure.compute.tier == "low_priority" ? "LowPriority" : "Dedicated"
  local_auth_enabled            = false
  ssh_public_access_enabled     = false
  node_public_ip_enabled        = local.public_access
  tags                          = local.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.jobs.id]
  }

  scale_settings {
    min_node_count                       = 0
    max_node_count                       = local.project.azure.compute.nodes
    scale_down_nodes_after_idle_duration = "PT${local.project.azure.compute.idle_seconds}S"
  }
}
