# A self-hosted runner inside the network, because hosted ones cannot reach private workspaces or staging's container
# groups. docs/infrastructure.md has the command to register it.
variable "runner" {
  description = "The runner's public SSH key and size; null for no runner."
  type        = object({ ssh_public_key = string, size = optional(string, "Standard_B2s") })
  default     = null

  validation {
    condition     = var.runner == null || can(regex("^(ssh-rsa|ssh-ed25519) [A-Za-z0-9+/=]+", var.runner.ssh_public_key))
    error_message = "ssh_public_key is a public key that starts with ssh-rsa or ssh-ed25519."
  }
}

locals {
  runners = var.runner[*]
}

resource "azurerm_subnet" "runner" {
  count = length(local.runners)

  name                            = "snet-runner"
  resource_group_name             = local.group
  virtual_network_name            = azurerm_virtual_network.this.name
  address_prefixes                = [local.addresses.runner]
  default_outbound_access_enabled = false
}

resource "azurerm_subnet_network_security_group_association" "runner" {
  count = length(local.runners)

  subnet_id                 = azurerm_subnet.runner[0].id
  network_security_group_id = azurerm_network_security_group.this.id
}

# Outbound access to GitHub or Azure DevOps and package indexes.
resource "azurerm_subnet_nat_gateway_association" "runner" {
  count = length(local.runners)

  subnet_id      = azurerm_subnet.runner[0].id
  nat_gateway_id = azurerm_nat_gateway.outbound[0].id
}

resource "azurerm_network_interface" "runner" {
  count = length(local.runners)

  name                = local.names.network_interface
  resource_group_name = local.group
  location            = local.location
  tags                = local.tags

  ip_configuration {
    name                          = "internal"
    subnet_id                     = azurerm_subnet.runner[0].id
    private_ip_address_allocation = "Dynamic"
  }
}

resource "azurerm_linux_virtual_machine" "runner" {
  count = length(local.runners)

  name                            = local.names.runner
  resource_group_name             = local.group
  location                        = local.location
  size                            = local.runners[0].size
  network_interface_ids           = [azurerm_network_interface.runner[0].id]
  admin_username                  = "runner"
  disable_password_authentication = true
  secure_boot_enabled             = true
  vtpm_enabled                    = true
  patch_mode                      = "AutomaticByPlatform"
  patch_assessment_mode           = "AutomaticByPlatform"
  tags                            = local.tags

  admin_ssh_key {
    username   = "runner"
    public_key = local.runners[0].ssh_public_key
  }

  os_disk {
    caching              = "ReadWrite"
    storage_account_type = "StandardSSD_LRS"
  }

  source_image_reference {
    publisher = "Canonical"
    offer     = "ubuntu-24_04-lts"
    sku       = "server"
    version   = "latest"
  }

  lifecycle {
    ignore_changes = [source_image_reference] # a newer image would replace the machine
  }

  depends_on = [azurerm_subnet_nat_gateway_association.runner]
}
