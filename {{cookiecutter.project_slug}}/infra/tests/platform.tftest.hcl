# What a platform brings is used, and not made again: `terraform -chdir=infra test`
mock_provider "azurerm" {}

run "a_hub_and_its_logs" {
  variables {
    environment                = "staging"
    hub_network_id             = "/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"
    log_analytics_workspace_id = "/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.OperationalInsights/workspaces/log-hub"
  }

  assert {
    condition     = one(azurerm_virtual_network_peering.hub[*].remote_virtual_network_id) == var.hub_network_id
    error_message = "The network is not peered with the hub."
  }

  assert {
    condition = length(azurerm_log_analytics_workspace.this) == 0 && alltrue([
      for id in concat([azurerm_application_insights.this.workspace_id], values(azurerm_monitor_diagnostic_setting.this)[*].log_analytics_workspace_id) :
      id == var.log_analytics_workspace_id
    ])
    error_message = "Logs go elsewhere than to the platform's workspace."
  }
}

run "neither_is_needed" {
  variables {
    environment = "staging"
  }

  assert {
    condition     = length(azurerm_virtual_network_peering.hub) == 0 && azurerm_application_insights.this.workspace_id == azurerm_log_analytics_workspace.this[0].id
    error_message = "An environment of its own depends on a platform."
  }
}

run "ids_of_other_things_are_refused" {
  command = plan

  variables {
    environment                = "staging"
    hub_network_id             = "vnet-hub"
    log_analytics_workspace_id = "/subscriptions/s/resourceGroups/rg-hub"
  }

  expect_failures = [var.hub_network_id, var.log_analytics_workspace_id]
}
