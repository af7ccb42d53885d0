# network: public. The account of the state answers on the internet, to identities with a role alone.
locals {
  state_public_access  = "Enabled"
  state_default_action = "Allow"
  state_allowed_ips    = []
  network_roles        = {}
}
