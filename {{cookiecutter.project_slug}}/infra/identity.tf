# Identities, without secrets. Each has the roles that its verbs need, on the resources that they use;
# docs/infrastructure.md lists them. The workspace's own identity gets its roles from Azure, when it is created.

# The jobs of `mlops run --on azureml`, batch scoring, and the container groups.
resource "azurerm_user_assigned_identity" "jobs" {
  name                = local.names.identity
  resource_group_name = local.group
  location            = local.location
  tags                = local.tags
}

# The workflows that call `mlops`; github.tf or azure_devops.tf selects them.
resource "azurerm_user_assigned_identity" "ci" {
  name                = local.names.ci_identity
  resource_group_name = local.group
  location            = local.location
  tags                = local.tags
}

locals {
  jobs = azurerm_user_assigned_identity.jobs.principal_id
  ci   = azurerm_user_assigned_identity.ci.principal_id

  lifecycle_roles = {
    # `mlops run` and `mlops score`, in their jobs: read the rows and the model, write the results.
    jobs-data = { principal = local.jobs, scope = azurerm_storage_account.this.id, role = "Storage Blob Data Contributor" }
    # `mlops run`, `mlops deploy`, `mlops rollback`: submit jobs, read and tag versions, change endpoints.
    ci-workspace = { principal = local.ci, scope = azurerm_machine_learning_workspace.this.id, role = "AzureML Data Scientist" }
    # `mlops run`: resize the cluster to project.yml; `mlops score`: start a job on it ...
    ci-compute = { principal = local.ci, scope = azurerm_machine_learning_workspace.this.id, role = "AzureML Compute Operator" }
    # ... and assign it the jobs' identity, as Azure checks at every change; a container group gets the same identity.
    ci-lend-identity = { principal = local.ci, scope = azurerm_user_assigned_identity.jobs.id, role = "Managed Identity Operator" }
    # Pull the image of jobs, endpoints and container groups.
    jobs-images = { principal = local.jobs, scope = azurerm_container_registry.this.id, role = "AcrPull" }
    # `mlops run`, `mlops deploy`: upload code and data, download models and results.
    ci-data = { principal = local.ci, scope = azurerm_storage_account.this.id, role = "Storage Blob Data Contributor" }
  }

  staging_group     = "/subscriptions/${data.azurerm_client_config.current.subscription_id}/resourceGroups/${module.staging.names.resource_group}"
  staging_workspace = "${local.staging_group}/providers/Microsoft.MachineLearningServices/workspaces/${module.staging.names.workspace}"
  staging_storage   = "${local.staging_group}/providers/Microsoft.Storage/storageAccounts/${module.staging.names.storage}"
  staging_registry  = "${local.staging_group}/providers/Microsoft.ContainerRegistry/registries/${module.staging.names.registry}"

  training_roles = {
    # `mlops register`, in its job: log the run, register the version, tag it.
    jobs-register = { principal = local.jobs, scope = azurerm_machine_learning_workspace.this.id, role = "AzureML Data Scientist" }
  }

  promotion_roles = {
    # `mlops deploy production`: read the version that staging tested, and tag it there as production.
    staging-versions = { principal = local.ci, scope = local.staging_workspace, role = "AzureML Data Scientist" }
    # `mlops deploy production`: download that version.
    staging-models = { principal = local.ci, scope = local.staging_storage, role = "Storage Blob Data Reader" }
    # `mlops deploy production`: copy the image that staging tested.
    staging-images = { principal = local.ci, scope = local.staging_registry, role = "Container Registry Data Importer and Data Reader" }
    copy-images    = { principal = local.ci, scope = azurerm_container_registry.this.id, role = "Container Registry Data Importer and Data Reader" }
  }

  # `mlops run`: build the image of jobs and endpoints; `mlops deploy` to a `container-instance`: add a version to it.
  builds_images = !local.in_production || local.serves_containers
  build_roles   = { ci-images = { principal = local.ci, scope = azurerm_container_registry.this.id, role = "Container Registry Tasks Contributor" } }

  # `mlops deploy`, with max_instances: let Azure Monitor scale the slots. No smaller built-in role allows that.
  scales      = try(local.project.serving[var.environment].max_instances, null) != null
  scale_roles = { ci-scale = { principal = local.ci, scope = data.azurerm_resource_group.this.id, role = "Web Plan Contributor" } }
}

resource "azurerm_role_assignment" "lifecycle" {
  for_each = merge(
    local.lifecycle_roles,
    local.in_production ? local.promotion_roles : local.training_roles,
    local.builds_images ? local.build_roles : {},
    local.scales ? local.scale_roles : {},
  )

  principal_id         = each.value.principal
  principal_type       = "ServicePrincipal"
  scope                = each.value.scope
  role_definition_name = each.value.role

  lifecycle {
    precondition {
      condition     = contains(keys(module.shared.roles), each.value.role)
      error_message = "${each.value.role} is not among the roles of infra/shared/roles.tf."
    }
  }
}
