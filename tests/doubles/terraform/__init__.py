"""A loopback azurerm: the provider's real schema, for the real Terraform, with no Azure behind it."""
