# The rights of Terraform's identities. To apply infra/: build within the environment's group, and assign there only the
# roles of infra/shared/roles.tf, to identities only. To plan it: read.
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
    # Download the approved plan, and remove it once applied.
    plans = { scope = azurerm_storage_container.plans.id, role = "Storage Blob Data Contributor" }
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

  plan_roles = merge(
    {
      # Read the state, without locking it.
      state = { scope = azurerm_storage_container.state.id, role = "Storage Blob Data Reader" }
      # Upload the plan.
      plans = { scope = azurerm_storage_container.plans.id, role = "Storage Blob Data Contributor" }
      # Compare the resources with infra/.
      read = { scope = azurerm_resource_group.environment.id, role = "Reader" }
    },
    local.in_production ? {
      # Also the roles of production's CI in staging.
      read-staging = { scope = local.staging_group, role = "Reader" }
    } : {},
    local.has_cluster ? {
      # azurerm reads the credentials of an AKS cluster with it, and keeps them in the state.
      cluster-user  = { scope = azurerm_resource_group.environment.id, role = "Azure Kubernetes Service Cluster User Role" }
      cluster-admin = { scope = azurerm_resource_group.environment.id, role = "Azure Kubernetes Service Cluster Admin Role" }
    } : {},
  )

  has_cluster = module.shared.project.serving[var.environment].target == "kubernetes"

  # Before any workflow can run Terraform, a person does.
  operator_roles = merge(
    { for id in local.operators : "state-${id}" => { principal = id, scope = azurerm_storage_container.state.id, role = "Storage Blob Data Contributor" } },
    { for id in local.operators : "plans-${id}" => { principal = id, scope = azurerm_storage_container.plans.id, role = "Storage Blob Data Contributor" } },
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

resource "azurerm_role_assignment" "plan" {
  for_each = local.plan_roles

  principal_id         = azurerm_user_assigned_identity.plan.principal_id
  principal_type       = "ServicePrincipal"
  scope                = each.value.scope
  role_definition_name = each.value.role
}

resource "azurerm_role_assignment" "operators" {
  for_each = local.operator_roles

  principal_id         = each.value.principal
  scope                = each.value.scope
  role_definition_name = each.value.role
}
