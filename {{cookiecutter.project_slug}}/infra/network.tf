# The environment's network, for container groups, private endpoints and a self-hosted runner. An empty network is free;
# outbound access for container groups or a runner is not.
resource "azurerm_virtual_network" "this" {
  name                = local.names.network
  resource_group_name = local.group
  location            = local.location
  address_space       = [local.address_space]
  tags                = local.tags
}

# No inbound traffic from the internet: Azure's default rules deny it, and none are added.
resource "azurerm_network_security_group" "this" {
  name                = local.names.network_security
  resource_group_name = local.group
  location            = local.location
  tags                = local.tags
}

# The environments' ranges differ, so that one hub can reach both; each kind of subnet has its part.
locals {
  address_space = coalesce(var.address_space, local.in_production ? "10.21.0.0/20" : "10.20.0.0/20")

  addresses = {
    for position, kind in ["endpoints", "runner", "containers", "cluster"] :
    kind => cidrsubnet(local.address_space, 3, position)
  }

  serves_containers = local.project.serving[var.environment].target == "container-instance"
  outbound          = length(local.runners) > 0 || local.serves_containers ? [true] : []
}

# A runner reaches package indexes, and container groups anything, through this address only; nothing is allowed in.
resource "azurerm_public_ip" "outbound" {
  count = length(local.outbound)

  name                = local.names.public_ip
  resource_group_name = local.group
  location            = local.location
  allocation_method   = "Static"
  sku                 = "Standard"
  tags                = local.tags
}

resource "azurerm_nat_gateway" "outbound" {
  count = length(local.outbound)

  name                = local.names.nat_gateway
  resource_group_name = local.group
  location            = local.location
  sku_name            = "Standard"
  tags                = local.tags
}

resource "azurerm_nat_gateway_public_ip_association" "outbound" {
  count = length(local.outbound)

  nat_gateway_id       = azurerm_nat_gateway.outbound[0].id
  public_ip_address_id = azurerm_public_ip.outbound[0].id
}
