# network: public. Resources are reachable from the internet, by identities with a role only; keys are disabled.
# The other files read these settings; in private projects, infra/network_private.tf defines them.
locals {
  public_access  = true
  isolation_mode = "Disabled"
  registry_sku   = "Basic"
}
