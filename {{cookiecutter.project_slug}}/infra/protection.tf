# Locks against accidental deletion in production, by Terraform or by hand. The workspace has none: locks apply to
# everything inside, so `mlops deploy` could not remove the previous slot.
resource "azurerm_management_lock" "this" {
  for_each = local.in_production ? {
    storage   = azurerm_storage_account.this.id
    key-vault = azurerm_key_vault.this.id
    registry  = azurerm_container_registry.this.id
  } : {}

  name       = "keep-${each.key}"
  scope      = each.value
  lock_level = "CanNotDelete"
  notes      = "Holds what production serves and how it was made."
}
