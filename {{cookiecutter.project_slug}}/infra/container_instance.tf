# For `mlops deploy` to a `container-instance` target: a subnet, because the groups have no public address, and the
# roles to start and switch them.
locals {
  container_roles = {
    # Create, tag and remove the groups blue and green, which do not exist yet ...
    groups = { scope = data.azurerm_resource_group.this.id, role = "Azure Container Instances Contributor Role" }
    # ... in the subnet.
    join-subnet = { scope = one(azurerm_subnet.containers[*].id), role = "Network Contributor" }
  }
}

resource "azurerm_subnet" "containers" {
  count = local.serves_containers ? 1 : 0

  name                 = local.names.container_subnet
  resource_group_name  = local.group
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = [local.addresses.containers]

  delegation {
    name = "containers"

    service_delegation {
      name    = "Microsoft.ContainerInstance/containerGroups"
      actions = ["Microsoft.Network/virtualNetworks/subnets/action"]
    }
  }
}

resource "azurerm_subnet_network_security_group_association" "containers" {
  count = length(azurerm_subnet.containers)

  subnet_id                 = azurerm_subnet.containers[0].id
  network_security_group_id = azurerm_network_security_group.this.id
}

# Azure supports no other outbound access for container groups in a network.
resource "azurerm_subnet_nat_gateway_association" "containers" {
  count = length(azurerm_subnet.containers)

  subnet_id      = azurerm_subnet.containers[0].id
  nat_gateway_id = azurerm_nat_gateway.outbound[0].id
}

resource "azurerm_role_assignment" "containers" {
  for_each = { for name, role in local.container_roles : name => role if local.serves_containers }

  principal_id         = local.ci
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
