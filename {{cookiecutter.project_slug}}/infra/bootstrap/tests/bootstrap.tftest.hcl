# Rules for infra/bootstrap/; no account needed: `terraform -chdir=infra/bootstrap test`, after `init`.
mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = {
      object_id       = "00000000-0000-0000-0000-000000000002"
      subscription_id = "00000000-0000-0000-0000-000000000000"
    }
  }
}

run "staging" {
  variables {
    environment = "staging"
  }

  assert {
    condition     = azurerm_storage_account.state.shared_access_key_enabled == false && azurerm_storage_account.state.blob_properties[0].versioning_enabled
    error_message = "The state can be opened with a key, or has no versioning."
  }

  assert {
    condition     = toset(keys(azurerm_role_assignment.terraform)) == toset(concat(["build", "delegate", "plans", "state"], keys(local.network_roles)))
    error_message = "Terraform's identity has other roles than it needs."
  }

  assert {
    condition = alltrue([
      for role in azurerm_role_assignment.terraform :
      can(regex("GuidEquals.*PrincipalType", replace(role.condition, "\n", " "))) if strcontains(role.role_definition_name, "Access Control")
    ])
    error_message = "Terraform's identity may assign any role."
  }

  assert {
    condition     = alltrue([for role in azurerm_role_assignment.terraform : role.role_definition_name != "Owner" && !can(regex("^/subscriptions/[^/]+$", role.scope))])
    error_message = "Terraform's identity has rights outside the environment."
  }

  assert {
    condition = alltrue([
      for name, role in azurerm_role_assignment.plan :
      name == "plans" ? role.scope == azurerm_storage_container.plans.id : strcontains(role.role_definition_name, "Reader") || startswith(name, "cluster-")
    ])
    error_message = "The identity of plans may change more than the plans."
  }

  assert {
    condition     = azurerm_storage_account.state.tags == module.shared.tags && azurerm_resource_group.environment.tags == module.shared.tags && azurerm_resource_group.state.tags == module.shared.tags && azurerm_user_assigned_identity.terraform.tags == module.shared.tags && azurerm_user_assigned_identity.plan.tags == module.shared.tags
    error_message = "A resource lacks the tags."
  }
}

run "production" {
  variables {
    environment = "production"
  }

  assert {
    condition     = !strcontains(azurerm_role_assignment.terraform["promote"].condition, module.shared.roles["Storage Blob Data Contributor"])
    error_message = "Production may assign more roles in staging than promotion needs."
  }
}

run "operators_are_object_ids" {
  command = plan

  variables {
    environment = "staging"
    operators   = ["me@example.com"]
  }

  expect_failures = [var.operators]
}
