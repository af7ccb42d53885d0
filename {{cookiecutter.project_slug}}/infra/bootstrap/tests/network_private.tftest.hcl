# network: private. `terraform -chdir=infra/bootstrap test`
mock_provider "azurerm" {}

variables {
  environment = "staging"
}

run "the_state_is_closed" {
  assert {
    condition     = azurerm_storage_account.state.public_network_access == "Disabled" && azurerm_storage_account.state.network_rules[0].default_action == "Deny"
    error_message = "The state answers on the internet."
  }
}

run "the_state_answers_to_some" {
  variables {
    allowed_ips = ["203.0.113.7"]
  }

  assert {
    condition     = azurerm_storage_account.state.public_network_access == "Enabled" && azurerm_storage_account.state.network_rules[0].default_action == "Deny"
    error_message = "The state is reachable from nowhere, or from everywhere."
  }
}

run "everybody_is_refused" {
  command = plan

  variables {
    allowed_ips = ["0.0.0.0/0"]
  }

  expect_failures = [var.allowed_ips]
}
