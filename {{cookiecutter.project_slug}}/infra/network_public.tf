# network: public. Everything answers on the internet, to identities with a role alone; nothing takes keys.
# The other files read these settings, which infra/network_private.tf has in the projects that chose private.
locals {
  public_access       = true
  isolation_mode      = "Disabled"
  registry_sku        = "Basic"
  image_build_compute = null # tasks of the registry build the images
  network_roles       = {}
  network_job_roles   = {}
}
