# network: private. The state's account is reachable from the environment's network, where infra/ gives it an address,
# and until then from allowed_ips. Run `apply` again without allowed_ips to close it.
variable "allowed_ips" {
  description = "Public addresses that may reach the state; empty once a runner in the network does."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for ip in var.allowed_ips : can(regex("^[0-9]+(\\.[0-9]+){3}(/([0-9]|[12][0-9]|30))?$", ip)) && !startswith(ip, "0.")])
    error_message = "allowed_ips holds addresses such as 203.0.113.7, or ranges up to /30."
  }
}

locals {
  state_public_access  = length(var.allowed_ips) > 0 ? "Enabled" : "Disabled"
  state_default_action = "Deny"
  state_allowed_ips    = var.allowed_ips

  network_roles = merge(
    {
      # Create the state account's address in the environment's network.
      approve-state = { scope = azurerm_storage_account.state.id, role = "Azure AI Enterprise Network Connection Approver" }
    },
    local.in_production ? {
      # Create addresses of staging's workspace and storage in production's network.
      approve-staging = { scope = local.staging_group, role = "Azure AI Enterprise Network Connection Approver" }
    } : {},
  )
}
