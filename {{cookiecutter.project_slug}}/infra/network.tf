# The environment's network, for container groups, private endpoints and a self-hosted runner. An empty network is free.
resource "azurerm_virtual_network" "this" {
  name                = local.names.network
  resource_group_name = local.group
  location            = local.location
  address_space       = [var.address_space]
  tags                = local.tags
}

# No inbound traffic from the internet: Azure's default rules deny it, and none are added.
resource "azurerm_network_security_group" "this" {
  name                = local.names.network_security
  resource_group_name = local.group
  location            = local.location
  tags                = local.tags
}

# The part of the address range for each kind of subnet.
locals {
  addresses = {
    for position, kind in ["endpoints", "runner", "containers", "cluster"] :
    kind => cidrsubnet(var.address_space, 3, position)
  }
}
