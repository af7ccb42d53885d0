# network: public. The state's account is reachable from the internet, by identities with a role only.
locals {
  state_public_access  = "Enabled"
  state_default_action = "Allow"
  state_allowed_ips    = []
  network_roles        = {}
}
