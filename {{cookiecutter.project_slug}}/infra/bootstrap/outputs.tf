# The next steps: `terraform -chdir=infra/bootstrap output -state=staging.tfstate`.
output "init" {
  description = "The command that connects infra/ to its state."
  value       = "terraform -chdir=infra init -reconfigure -backend-config=storage_account_name=${azurerm_storage_account.state.name}"
}

output "login" {
  description = "The variables of the environment staging-infra or production-infra, which identify Terraform. None is a secret."
  value = {
    AZURE_CLIENT_ID       = azurerm_user_assigned_identity.terraform.client_id
    AZURE_TENANT_ID       = data.azurerm_client_config.current.tenant_id
    AZURE_SUBSCRIPTION_ID = data.azurerm_client_config.current.subscription_id
  }
}

output "plan_login" {
  description = "The variables of the environment staging-plan or production-plan, which identify Terraform's plans. None is a secret."
  value = {
    AZURE_CLIENT_ID       = azurerm_user_assigned_identity.plan.client_id
    AZURE_TENANT_ID       = data.azurerm_client_config.current.tenant_id
    AZURE_SUBSCRIPTION_ID = data.azurerm_client_config.current.subscription_id
  }
}
