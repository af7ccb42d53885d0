# What must not be deleted by mistake in production, by Terraform or by hand: an owner has to remove the lock first.
resource "azurerm_management_lock" "this" {
  for_each = local.in_production ? {
    storage   = azurerm_storage_account.this.id
    key-vault = azurerm_key_vault.this.id
    registry  = azurerm_container_registry.this.id
    workspace = azurerm_machine_learning_workspace.this.id
  } : {}

  name       = "keep-${each.key}"
  scope      = each.value
  lock_level = "CanNotDelete"
  notes      = "Holds what production serves and how it was made."
}
