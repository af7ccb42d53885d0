# The environment's network: container groups, private endpoints and a runner of one's own lie in it. Empty, it is free.
resource "azurerm_virtual_network" "this" {
  name                = local.names.network
  resource_group_name = local.group
  location            = local.location
  address_space       = [var.address_space]
  tags                = local.tags
}

# Nothing gets in from the internet: Azure's default rules say so, and no rule is added.
resource "azurerm_network_security_group" "this" {
  name                = local.names.network_security
  resource_group_name = local.group
  location            = local.location
  tags                = local.tags
}

# The part of the addresses that each kind of subnet takes.
locals {
  addresses = {
    for position, kind in ["endpoints", "runner", "containers", "cluster"] :
    kind => cidrsubnet(var.address_space, 3, position)
  }
}
