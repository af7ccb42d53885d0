# The rights of Terraform's identity, all needed by `terraform -chdir=infra apply`: build within the environment's
# group, and assign there only the roles of infra/shared/roles.tf, to identities only.
locals {
  staging_group = "${local.subscription}/resourceGroups/${module.staging.names.resource_group}"

  # Production's CI reads and tags in staging the version that it deploys, and copies its image.
  promotion_roles = ["AzureML Data Scientist", "Container Registry Data Importer and Data Reader", "Storage Blob Data Reader"]

  # Azure evaluates this at each change of a role assignment; ROLES is replaced by role ids.
  condition = <<-EOT
    (
     (!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'}))
     OR
     (
      @Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {ROLES}
      AND
      @Request[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'}
     )
    )
    AND
    (
     (!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'}))
     OR
     (
      @Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {ROLES}
      AND
      @Resource[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'}
     )
    )
  EOT

  all_ids       = join(", ", values(module.shared.roles))
  promotion_ids = join(", ", [for role in local.promotion_roles : module.shared.roles[role]])

  common_roles = {
    # Read and write the state.
    state = { scope = azurerm_storage_container.state.id, role = "Storage Blob Data Contributor" }
    # Create the resources of infra/.
    build = { scope = azurerm_resource_group.environment.id, role = "Contributor" }
    # Assign the roles of infra/*.tf.
    delegate = {
      scope     = azurerm_resource_group.environment.id
      role      = "Role Based Access Control Administrator"
      condition = replace(local.condition, "ROLES", local.all_ids)
    }
  }

  production_roles = {
    # Create locks.
    lock = { scope = azurerm_resource_group.environment.id, role = "Locks Contributor" }
    # Let production's CI download the version that staging tested.
    promote = {
      scope     = local.staging_group
      role      = "Role Based Access Control Administrator"
      condition = replace(local.condition, "ROLES", local.promotion_ids)
    }
  }

  # Before any workflow can run Terraform, a person does.
  operator_roles = merge(
    { for id in local.operators : "state-${id}" => { principal = id, scope = azurerm_storage_container.state.id, role = "Storage Blob Data Contributor" } },
    { for id in local.operators : "lock-${id}" => { principal = id, scope = azurerm_resource_group.environment.id, role = "Locks Contributor" } if local.in_production },
  )
}

resource "azurerm_role_assignment" "terraform" {
  for_each = merge(local.common_roles, local.network_roles, local.in_production ? local.production_roles : {})

  principal_id         = azurerm_user_assigned_identity.terraform.principal_id
  principal_type       = "ServicePrincipal"
  scope                = each.value.scope
  role_definition_name = each.value.role
  condition            = try(each.value.condition, null)
  condition_version    = can(each.value.condition) ? "2.0" : null
}

resource "azurerm_role_assignment" "operators" {
  for_each = local.operator_roles

  principal_id         = each.value.principal
  scope                = each.value.scope
  role_definition_name = each.value.role
}
