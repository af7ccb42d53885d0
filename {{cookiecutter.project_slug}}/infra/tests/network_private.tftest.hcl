# network: private. `terraform -chdir=infra test`
mock_provider "azurerm" {}

variables {
  allow_plain_http = true # of aks.tf, if there is one: certificates are not tested here
}

run "nothing_answers_on_the_internet" {
  variables {
    environment = "production"
  }

  assert {
    condition = (
      azurerm_machine_learning_workspace.this.public_network_access_enabled == false
      && azurerm_storage_account.this.public_network_access == "Disabled"
      && azurerm_storage_account.this.network_rules[0].default_action == "Deny"
      && azurerm_key_vault.this.public_network_access_enabled == false
      && azurerm_key_vault.this.network_acls[0].default_action == "Deny"
      && azurerm_container_registry.this.public_network_access_enabled == false
      && azurerm_machine_learning_compute_cluster.this.node_public_ip_enabled == false
    )
    error_message = "A part of a private environment answers on the internet."
  }

  assert {
    condition = (
      azurerm_machine_learning_workspace.this.managed_network[0].isolation_mode != "Disabled"
      && azurerm_machine_learning_workspace.this.managed_network[0].provision_on_creation_enabled
    )
    error_message = "Jobs run outside a managed network."
  }

  assert {
    condition = toset(keys(azurerm_private_endpoint.this)) == toset(
      ["workspace", "blob", "file", "vault", "registry", "state", "staging-workspace", "staging-blob"]
    )
    error_message = "A service that the runner needs has no address in the network."
  }

  assert {
    condition     = toset(keys(azurerm_private_dns_zone_virtual_network_link.this)) == toset(keys(local.zones))
    error_message = "Names do not resolve in the network."
  }

  assert {
    condition     = alltrue([for endpoint in azurerm_private_endpoint.this : length(endpoint.name) <= 64 && endpoint.tags == local.tags])
    error_message = "A private endpoint's name is too long, or it lacks the tags."
  }
}

run "only_a_task_of_staging_pushes_images" {
  variables {
    environment = "staging"
  }

  assert {
    condition     = azurerm_container_registry_task.build[0].identity[0].type == "SystemAssigned" && azurerm_container_registry.this.network_rule_bypass_for_tasks_enabled
    error_message = "No task can push the image of jobs and endpoints to the private registry."
  }
}

run "production_copies_what_it_does_not_build" {
  variables {
    environment = "production"
  }

  assert {
    condition = (
      length(azurerm_container_registry_task.build) == (local.serves_containers ? 1 : 0)
      && azurerm_container_registry.this.network_rule_bypass_for_tasks_enabled == local.serves_containers
    )
    error_message = "A task could push images that staging has not tested."
  }
}

run "zones_of_a_platform_are_used" {
  variables {
    environment = "staging"
    dns_zone_ids = {
      "privatelink.blob.core.windows.net" = "/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net"
    }
  }

  assert {
    condition     = !contains(keys(azurerm_private_dns_zone.this), "blob") && length(azurerm_private_dns_zone_virtual_network_link.this) == length(local.zones) - 1
    error_message = "A zone of the platform is made again, or linked twice."
  }

  assert {
    condition = alltrue([
      for name in ["blob", "state"] :
      toset(azurerm_private_endpoint.this[name].private_dns_zone_group[0].private_dns_zone_ids) == toset(values(var.dns_zone_ids))
    ])
    error_message = "Addresses are not registered in the platform's zone."
  }
}

run "zones_by_other_names_are_refused" {
  command = plan

  variables {
    environment  = "staging"
    dns_zone_ids = { blob = "/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.Network/privateDnsZones/blob" }
  }

  expect_failures = [var.dns_zone_ids]
}

run "approved_hosts_alone" {
  variables {
    environment    = "staging"
    isolation_mode = "AllowOnlyApprovedOutbound"
    approved_hosts = ["pypi.org", "*.pythonhosted.org"]
  }

  assert {
    condition     = toset([for rule in azurerm_machine_learning_workspace_network_outbound_rule_fqdn.this : rule.destination_fqdn]) == var.approved_hosts
    error_message = "Jobs can reach hosts that are not approved."
  }
}

run "an_open_network_is_refused" {
  command = plan

  variables {
    environment    = "staging"
    isolation_mode = "Disabled"
    approved_hosts = ["*"]
  }

  expect_failures = [var.isolation_mode, var.approved_hosts]
}
