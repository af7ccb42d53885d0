# The next steps: `terraform -chdir=infra/bootstrap output -state=staging.tfstate`.
output "init" {
  description = "The command that connects infra/ to its state."
  value       = "terraform -chdir=infra init -reconfigure -backend-config=storage_account_name=${azurerm_storage_account.state.name}"
}

output "login" {
  description = "The variables of the environment staging-infra or production-infra, which identify Terraform. None is a secret."
  value = {
    ARM_CLIENT_ID       = azurerm_user_assigned_identity.terraform.client_id
    ARM_TENANT_ID       = data.azurerm_client_config.current.tenant_id
    ARM_SUBSCRIPTION_ID = data.azurerm_client_config.current.subscription_id
  }
}
