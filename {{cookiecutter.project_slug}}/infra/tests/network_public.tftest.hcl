# network: public. `terraform -chdir=infra test`
mock_provider "azurerm" {}

variables {
  environment = "staging"
}

run "everything_answers_to_identities" {
  assert {
    condition = (
      azurerm_machine_learning_workspace.this.public_network_access_enabled
      && azurerm_storage_account.this.public_network_access == "Enabled"
      && azurerm_machine_learning_workspace.this.managed_network[0].isolation_mode == "Disabled"
    )
    error_message = "Runners of GitHub or Azure DevOps cannot reach the workspace."
  }
}
