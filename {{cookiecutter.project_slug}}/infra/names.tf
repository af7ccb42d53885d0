# The names, tags and settings for the other files, from project.yml through shared/.
module "shared" {
  source       = "./shared"
  environment  = var.environment
  subscription = data.azurerm_client_config.current.subscription_id
}

# Production serves the versions tested in staging, so it needs staging's names.
module "staging" {
  source       = "./shared"
  environment  = "staging"
  subscription = data.azurerm_client_config.current.subscription_id
}

data "azurerm_client_config" "current" {}

# Created by infra/bootstrap/: Terraform's identity has rights in this group only.
data "azurerm_resource_group" "this" {
  name = module.shared.names.resource_group
}

locals {
  names    = module.shared.names
  tags     = module.shared.tags
  project  = module.shared.project
  location = local.project.azure.region
  group    = data.azurerm_resource_group.this.name

  in_production = var.environment == "production"
}
