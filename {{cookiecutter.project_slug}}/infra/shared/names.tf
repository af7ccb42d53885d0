# The names and tags of an environment's Azure resources, for both roots, infra/ and infra/bootstrap/. Keep the names in
# step with src/mlops/naming.py, which also has Azure's limits.
variable "environment" {
  description = "The environment: staging or production."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production."
  }
}

variable "subscription" {
  description = "The ID of the subscription: names that all of Azure shares derive from it."
  type        = string
}

locals {
  project = yamldecode(file("${path.module}/../../project.yml"))
  prefix  = local.project.azure.prefix
  suffix  = "${local.prefix}-${var.environment}"
  unique  = substr(sha256("${lower(var.subscription)}/${local.prefix}/${var.environment}"), 0, 6)
}

output "names" {
  description = "The names. Only those inside another resource are the same in both environments."
  value = {
    resource_group       = "rg-${local.suffix}"
    workspace            = "mlw-${local.suffix}"
    storage              = "st${local.prefix}${local.unique}"
    key_vault            = "kv-${local.prefix}-${local.unique}"
    registry             = "cr${local.prefix}${local.unique}"
    log_analytics        = "log-${local.suffix}"
    application_insights = "appi-${local.suffix}"
    action_group         = "ag-${local.suffix}"
    budget               = "budget-${local.suffix}"
    identity             = "id-${local.suffix}"
    ci_identity          = "id-${local.suffix}-ci"
    cluster_identity     = "id-${local.suffix}-aks"
    nodes_identity       = "id-${local.suffix}-nodes"
    terraform_identity   = "id-${local.suffix}-terraform"
    plan_identity        = "id-${local.suffix}-plan"
    state_group          = "rg-${local.suffix}-state"
    state_storage        = "tf${local.prefix}${local.unique}"
    network              = "vnet-${local.suffix}"
    network_security     = "nsg-${local.suffix}"
    nat_gateway          = "ng-${local.suffix}"
    public_ip            = "pip-${local.suffix}"
    network_interface    = "nic-${local.suffix}"
    runner               = "vm-${local.suffix}"
    private_endpoint     = "pe-${local.suffix}"
    cluster              = "aks-${local.suffix}"
    node_group           = "rg-${local.suffix}-nodes"
    cluster_logs         = "dcr-${local.suffix}"
    endpoint             = "${local.suffix}-${local.unique}"
    batch_endpoint       = "${local.prefix}-${local.unique}-batch"
    compute              = "cpu-cluster"
    build_task           = "build"
    container_subnet     = "snet-aci"
    attached_cluster     = "aks"
  }
}

output "tags" {
  description = "The tags of every resource that supports tags."
  value = tomap({
    project     = local.project.project
    environment = var.environment
    managed-by  = "terraform"
  })
}

output "project" {
  description = "The content of project.yml."
  value       = local.project
}
