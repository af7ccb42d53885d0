# What a platform brings instead of new resources: its hub network, its logs. Private DNS zones are in network_private.tf.
# `terraform -chdir=infra apply -var hub_network_id=/subscriptions/...`
variable "hub_network_id" {
  description = "The ID of a hub's virtual network to peer with; its owner adds the peering of the other direction. Null for none."
  type        = string
  default     = null

  validation {
    condition     = var.hub_network_id == null || can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/virtualNetworks/[^/]+$", var.hub_network_id))
    error_message = "hub_network_id is the ID of a virtual network."
  }
}

variable "log_analytics_workspace_id" {
  description = "The ID of a Log Analytics workspace for all logs; null makes a new one."
  type        = string
  default     = null

  validation {
    condition     = var.log_analytics_workspace_id == null || can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.OperationalInsights/workspaces/[^/]+$", var.log_analytics_workspace_id))
    error_message = "log_analytics_workspace_id is the ID of a Log Analytics workspace."
  }
}

locals {
  logs = var.log_analytics_workspace_id == null ? azurerm_log_analytics_workspace.this[0].id : var.log_analytics_workspace_id
}

resource "azurerm_virtual_network_peering" "hub" {
  count = var.hub_network_id == null ? 0 : 1

  name                      = "to-hub"
  resource_group_name       = local.group
  virtual_network_name      = azurerm_virtual_network.this.name
  remote_virtual_network_id = var.hub_network_id
  allow_forwarded_traffic   = true # from networks behind the hub, such as a VPN
}
