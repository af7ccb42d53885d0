# network: public. Resources are reachable from the internet, by identities with a role only; keys are disabled.
# The other files read these settings; in private projects, infra/network_private.tf defines them.
locals {
  public_access       = true
  isolation_mode      = "Disabled"
  registry_sku        = "Basic"
  image_build_compute = null # Azure ML builds the images on serverless compute

  # `mlops run`: nodes pull the image of the environment, and container groups theirs.
  network_job_roles = {
    jobs-images = { principal = local.jobs, scope = azurerm_container_registry.this.id, role = "AcrPull" }
  }
}
