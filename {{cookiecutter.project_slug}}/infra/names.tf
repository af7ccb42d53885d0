# The names, tags and settings that the other files read. They are made in shared/, from project.yml.
module "shared" {
  source      = "./shared"
  environment = var.environment
}

# Production serves what staging has proved, so it has to find staging's resources.
module "staging" {
  source      = "./shared"
  environment = "staging"
}

data "azurerm_client_config" "current" {}

# infra/bootstrap/ makes it, since the identity of Terraform has rights within this group only.
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
