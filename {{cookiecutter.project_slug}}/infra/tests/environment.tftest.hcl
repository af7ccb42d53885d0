# Rules for every environment; no account needed: `terraform -chdir=infra test`, after `init -backend=false`.
mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = {
      subscription_id = "00000000-0000-0000-0000-000000000000"
      tenant_id       = "00000000-0000-0000-0000-000000000001"
    }
  }
}

variables {
  allow_plain_http = true # of aks.tf, if there is one: certificates are not tested here
}

run "staging" {
  variables {
    environment = "staging"
  }

  assert {
    condition     = azurerm_storage_account.this.shared_access_key_enabled == false && azurerm_container_registry.this.admin_enabled == false && azurerm_log_analytics_workspace.this[0].local_authentication_enabled == false
    error_message = "A key to what identities should open is enabled."
  }

  assert {
    condition     = azurerm_key_vault.this.purge_protection_enabled && azurerm_key_vault.this.rbac_authorization_enabled
    error_message = "The vault can be purged, or uses access policies."
  }

  assert {
    condition     = azurerm_machine_learning_workspace.this.storage_account_access_type == "Identity"
    error_message = "The workspace accesses its storage with a key."
  }

  assert {
    condition     = azurerm_machine_learning_compute_cluster.this.scale_settings[0].min_node_count == 0
    error_message = "An idle cluster costs money."
  }

  assert {
    condition     = length(azurerm_management_lock.this) == 0
    error_message = "Staging cannot be removed."
  }

  assert {
    condition = alltrue([
      for name, role in azurerm_role_assignment.lifecycle :
      contains(keys(module.shared.roles), role.role_definition_name) && (role.scope != data.azurerm_resource_group.this.id || name == "ci-scale")
    ])
    error_message = "A role is too wide, or applies to the whole group."
  }

  assert {
    condition = alltrue([
      for tags in [
        azurerm_storage_account.this.tags, azurerm_key_vault.this.tags, azurerm_container_registry.this.tags,
        azurerm_machine_learning_workspace.this.tags, azurerm_machine_learning_compute_cluster.this.tags,
        azurerm_log_analytics_workspace.this[0].tags, azurerm_application_insights.this.tags,
        azurerm_monitor_action_group.this.tags, azurerm_virtual_network.this.tags,
        azurerm_network_security_group.this.tags, azurerm_user_assigned_identity.jobs.tags,
        azurerm_user_assigned_identity.ci.tags,
      ] : try(tags.project, "") == local.project.project && try(tags.environment, "") == "staging" && try(tags["managed-by"], "") == "terraform"
    ])
    error_message = "A resource lacks one of the tags project, environment and managed-by."
  }
}

run "production" {
  variables {
    environment = "production"
    alert_email = "team@example.com"
  }

  assert {
    condition     = local.address_space == "10.21.0.0/20" # staging has 10.20.0.0/20
    error_message = "The environments' ranges overlap: one hub cannot reach both."
  }

  assert {
    condition     = toset(keys(azurerm_management_lock.this)) == toset(["key-vault", "registry", "storage"])
    error_message = "Production's data can be deleted."
  }

  assert {
    condition     = endswith(azurerm_role_assignment.lifecycle["staging-models"].scope, "/storageAccounts/${module.staging.names.storage}") && azurerm_role_assignment.lifecycle["staging-models"].role_definition_name == "Storage Blob Data Reader"
    error_message = "Production can do more than read in staging's storage."
  }

  assert {
    condition     = one(azurerm_monitor_action_group.this.email_receiver[*].email_address) == "team@example.com"
    error_message = "The team does not receive alerts."
  }

  assert {
    condition     = toset(keys(azurerm_monitor_metric_alert.this)) == toset(["endpoint-errors", "endpoint-latency", "failed-jobs"])
    error_message = "Errors, slow responses or failed jobs do not raise an alert."
  }
}

run "names_differ_between_environments" {
  command = plan

  variables {
    environment = "production"
  }

  assert {
    condition = toset([for kind, name in module.shared.names : kind if name == module.staging.names[kind]]) == toset(
      ["build_task", "compute", "container_subnet", "attached_cluster"]
    )
    error_message = "Staging and production share a name."
  }
}

run "a_runner_has_no_public_address" {
  variables {
    environment = "staging"
    runner      = { ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA" }
  }

  assert {
    condition     = azurerm_network_interface.runner[0].ip_configuration[0].public_ip_address_id == null && azurerm_linux_virtual_machine.runner[0].disable_password_authentication
    error_message = "The runner can be reached from the internet, or with a password."
  }

  assert {
    condition     = azurerm_linux_virtual_machine.runner[0].tags == local.tags && azurerm_public_ip.outbound[0].tags == local.tags && azurerm_nat_gateway.outbound[0].tags == local.tags
    error_message = "A part of the runner lacks the tags."
  }
}

run "an_unknown_environment_is_refused" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "bad_settings_are_refused" {
  command = plan

  variables {
    environment        = "staging"
    alert_email        = "nobody"
    monthly_budget     = 0
    max_latency_ms     = 0
    log_retention_days = 7
    log_daily_gb       = 0
    address_space      = "10.20.0.0/24"
    runner             = { ssh_public_key = "secret" }
  }

  expect_failures = [
    var.alert_email, var.monthly_budget, var.max_latency_ms, var.log_retention_days, var.log_daily_gb,
    var.address_space, var.runner,
  ]
}
