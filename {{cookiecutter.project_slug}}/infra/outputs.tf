# For `mlops connect` and the workflows: `terraform -chdir=infra output -json`.
output "login" {
  description = "The environment's variables in GitHub or Azure DevOps, which identify CI. None is a secret."
  value = {
    AZURE_CLIENT_ID       = azurerm_user_assigned_identity.ci.client_id
    AZURE_TENANT_ID       = data.azurerm_client_config.current.tenant_id
    AZURE_SUBSCRIPTION_ID = data.azurerm_client_config.current.subscription_id
  }
}

output "names" {
  description = "The names of the environment's resources."
  value       = local.names
}

output "workspace_id" {
  description = "The id of the workspace."
  value       = azurerm_machine_learning_workspace.this.id
}

output "federated_subject" {
  description = "The subject that a token needs to use the CI identity; null if not known yet."
  value       = local.federated_subject
}
