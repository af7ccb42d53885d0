# network: private. Nothing is reachable from the internet: the workspace and its dependencies have addresses in the
# environment's network only, and jobs run in a network that Azure ML manages.
variable "isolation_mode" {
  description = "The outbound access of jobs and endpoints: AllowInternetOutbound, or AllowOnlyApprovedOutbound, whose firewall costs by the hour."
  type        = string
  default     = "AllowInternetOutbound"

  validation {
    condition     = contains(["AllowInternetOutbound", "AllowOnlyApprovedOutbound"], var.isolation_mode)
    error_message = "isolation_mode is AllowInternetOutbound or AllowOnlyApprovedOutbound."
  }
}

variable "approved_hosts" {
  description = "Hosts that jobs may reach with AllowOnlyApprovedOutbound, besides Azure's own."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for host in var.approved_hosts : can(regex("^(\\*\\.)?[a-z0-9-]+(\\.[a-z0-9-]+)+$", host))])
    error_message = "approved_hosts holds host names such as pypi.org."
  }
}

variable "dns_zone_ids" {
  description = "IDs of existing private DNS zones, by names such as privatelink.blob.core.windows.net, which their owner links to the network. Others are created."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, id in var.dns_zone_ids : contains(values(local.zones), name) && endswith(id, "/privateDnsZones/${name}")])
    error_message = "dns_zone_ids holds the IDs of zones of network_private.tf by their names."
  }
}

# Settings that the other files read; in public projects, infra/network_public.tf defines them.
locals {
  public_access  = false
  isolation_mode = var.isolation_mode
  registry_sku   = "Premium" # the only SKU with private endpoints
}

# `mlops run` builds the image of jobs and endpoints with this task, which gets the files and the image's name at each
# run. Only a task with an identity of its own may push to a registry without public access.
resource "azurerm_container_registry_task" "build" {
  count = local.builds_images ? 1 : 0

  name                  = local.names.build_task
  container_registry_id = azurerm_container_registry.this.id
  tags                  = local.tags

  platform {
    os           = "Linux"
    architecture = "amd64"
  }

  identity {
    type = "SystemAssigned"
  }

  registry_credential {
    custom {
      login_server = azurerm_container_registry.this.login_server
      identity     = "[system]"
    }
  }

  encoded_step {
    task_content = base64encode(<<-EOT
      version: v1.1.0
      steps:
        - build: --tag $Registry/{{.Values.image}} --build-arg IMAGE={{.Values.base}} .
          timeout: 3600
        - push: ["$Registry/{{.Values.image}}"]
    EOT
    )
  }
}

resource "azurerm_role_assignment" "build" {
  count = length(azurerm_container_registry_task.build)

  principal_id         = azurerm_container_registry_task.build[0].identity[0].principal_id
  principal_type       = "ServicePrincipal"
  scope                = azurerm_container_registry.this.id
  role_definition_name = "AcrPush"
}

resource "azurerm_machine_learning_workspace_network_outbound_rule_fqdn" "this" {
  for_each = var.isolation_mode == "AllowOnlyApprovedOutbound" ? var.approved_hosts : []

  name             = replace(trimprefix(each.value, "*."), ".", "-")
  workspace_id     = azurerm_machine_learning_workspace.this.id
  destination_fqdn = each.value
}

resource "azurerm_subnet" "endpoints" {
  name                            = "snet-endpoints"
  resource_group_name             = local.group
  virtual_network_name            = azurerm_virtual_network.this.name
  address_prefixes                = [local.addresses.endpoints]
  default_outbound_access_enabled = false
}

resource "azurerm_subnet_network_security_group_association" "endpoints" {
  subnet_id                 = azurerm_subnet.endpoints.id
  network_security_group_id = azurerm_network_security_group.this.id
}

locals {
  zones = {
    api       = "privatelink.api.azureml.ms"
    notebooks = "privatelink.notebooks.azure.net"
    blob      = "privatelink.blob.core.windows.net"
    file      = "privatelink.file.core.windows.net"
    vault     = "privatelink.vaultcore.azure.net"
    registry  = "privatelink.azurecr.io"
  }

  state_storage = join("/", [
    "/subscriptions/${data.azurerm_client_config.current.subscription_id}/resourceGroups/${local.names.state_group}",
    "providers/Microsoft.Storage/storageAccounts/${local.names.state_storage}",
  ])

  # The services that a runner in the network must reach.
  endpoints = {
    workspace = { id = azurerm_machine_learning_workspace.this.id, part = "amlworkspace", zones = ["api", "notebooks"] }
    blob      = { id = azurerm_storage_account.this.id, part = "blob", zones = ["blob"] }
    file      = { id = azurerm_storage_account.this.id, part = "file", zones = ["file"] }
    vault     = { id = azurerm_key_vault.this.id, part = "vault", zones = ["vault"] }
    registry  = { id = azurerm_container_registry.this.id, part = "registry", zones = ["registry"] }
    state     = { id = local.state_storage, part = "blob", zones = ["blob"] } # for Terraform
  }

  # `mlops deploy production` downloads the version that staging tested.
  staging_endpoints = {
    staging-workspace = { id = local.staging_workspace, part = "amlworkspace", zones = ["api", "notebooks"] }
    staging-blob      = { id = local.staging_storage, part = "blob", zones = ["blob"] }
  }
}

resource "azurerm_private_dns_zone" "this" {
  for_each = { for key, name in local.zones : key => name if !contains(keys(var.dns_zone_ids), name) }

  name                = each.value
  resource_group_name = local.group
  tags                = local.tags
}

locals {
  zone_ids = { for key, name in local.zones : key => try(azurerm_private_dns_zone.this[key].id, var.dns_zone_ids[name]) }
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  for_each = azurerm_private_dns_zone.this

  name                = local.names.network
  private_dns_zone_id = each.value.id
  virtual_network_id  = azurerm_virtual_network.this.id
  tags                = local.tags
}

resource "azurerm_private_endpoint" "this" {
  for_each = merge(local.endpoints, local.in_production ? local.staging_endpoints : {})

  name                = "${local.names.private_endpoint}-${each.key}"
  resource_group_name = local.group
  location            = local.location
  subnet_id           = azurerm_subnet.endpoints.id
  tags                = local.tags

  private_service_connection {
    name                           = each.key
    private_connection_resource_id = each.value.id
    subresource_names              = [each.value.part]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [for zone in each.value.zones : local.zone_ids[zone]]
  }
}
