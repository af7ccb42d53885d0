# serving: aci-aks, with a container-instance target. `terraform -chdir=infra test`
mock_provider "azurerm" {}

variables {
  environment = "staging"
}

run "ci_may_start_and_switch_containers" {
  assert {
    condition     = (local.project.serving.staging.target == "container-instance") == (length(azurerm_subnet.containers) == 1)
    error_message = "The subnet is missing where the target is container-instance, or exists elsewhere."
  }

  assert {
    condition     = alltrue([for role in azurerm_role_assignment.containers : contains(keys(module.shared.roles), role.role_definition_name)])
    error_message = "A role is too wide."
  }

  assert {
    condition     = alltrue([for subnet in azurerm_subnet.containers : subnet.delegation[0].service_delegation[0].name == "Microsoft.ContainerInstance/containerGroups"])
    error_message = "The subnet does not accept container groups."
  }
}
