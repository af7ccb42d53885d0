# What `mlops deploy` needs where a target is `kubernetes`: a cluster with Azure ML's extension. The first deploy
# attaches it to the workspace (azureml/kubernetes/compute.yml), because azurerm knows only the attachment of CLI v1.
variable "node_size" {
  description = "The size of the machines that serve."
  type        = string
  default     = "Standard_D4s_v5"

  validation {
    condition     = can(regex("^Standard_[A-Za-z0-9_]+$", var.node_size))
    error_message = "node_size is a size such as Standard_D4s_v5."
  }
}

variable "max_nodes" {
  description = "The most machines that serve at once."
  type        = number
  default     = 4

  validation {
    condition     = var.max_nodes >= 1 && var.max_nodes <= 100
    error_message = "max_nodes is from 1 to 100."
  }
}

variable "serving_tls" {
  description = "The host name of the endpoints, and the secret in the namespace azureml that holds its certificate; null serves plain HTTP within the network."
  type        = object({ host = string, secret = string })
  default     = null

  validation {
    condition     = var.serving_tls == null || can(regex("^[a-z0-9.-]+\\.[a-z]+ [a-z0-9.-]+$", "${var.serving_tls.host} ${var.serving_tls.secret}"))
    error_message = "serving_tls holds a host name such as score.example.com, and the name of a secret."
  }
}

locals {
  has_cluster = local.project.serving[var.environment].target == "kubernetes"
  clusters    = azurerm_kubernetes_cluster.this[*]

  router_security = var.serving_tls == null ? { allowInsecureConnections = "True" } : {
    allowInsecureConnections = "False"
    sslCname                 = var.serving_tls.host
    sslSecret                = var.serving_tls.secret
  }

  cluster_roles = {
    # The cluster places the address of the endpoints in its subnet, and lends its nodes their identity.
    network       = { principal = one(azurerm_user_assigned_identity.cluster[*].principal_id), scope = one(azurerm_subnet.cluster[*].id), role = "Network Contributor" }
    lend-identity = { principal = one(azurerm_user_assigned_identity.cluster[*].principal_id), scope = one(azurerm_user_assigned_identity.nodes[*].id), role = "Managed Identity Operator" }
    # Its nodes pull the image of the environment.
    images = { principal = one(azurerm_user_assigned_identity.nodes[*].principal_id), scope = azurerm_container_registry.this.id, role = "AcrPull" }
  }

  attachment_roles = {
    # `mlops deploy production`: CI attaches the cluster ...
    attach = { principal = local.ci, role = "Azure Kubernetes Service Contributor Role" }
    # ... and the workspace looks after its extension.
    read    = { principal = local.workspace, role = "Reader" }
    extends = { principal = local.workspace, role = "Kubernetes Extension Contributor" }
  }
}

resource "azurerm_user_assigned_identity" "cluster" {
  count = local.has_cluster ? 1 : 0

  name                = local.names.cluster_identity
  resource_group_name = local.group
  location            = local.location
  tags                = local.tags
}

resource "azurerm_user_assigned_identity" "nodes" {
  count = local.has_cluster ? 1 : 0

  name                = local.names.nodes_identity
  resource_group_name = local.group
  location            = local.location
  tags                = local.tags
}

resource "azurerm_subnet" "cluster" {
  count = local.has_cluster ? 1 : 0

  name                 = "snet-aks"
  resource_group_name  = local.group
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = [local.addresses.cluster]
}

resource "azurerm_subnet_network_security_group_association" "cluster" {
  count = length(azurerm_subnet.cluster)

  subnet_id                 = azurerm_subnet.cluster[0].id
  network_security_group_id = azurerm_network_security_group.this.id
}

resource "azurerm_kubernetes_cluster" "this" {
  count = local.has_cluster ? 1 : 0

  name                      = local.names.cluster
  resource_group_name       = local.group
  location                  = local.location
  dns_prefix                = local.names.cluster
  node_resource_group       = local.names.node_group
  sku_tier                  = "Standard" # the one with a promise of availability
  private_cluster_enabled   = !local.public_access
  local_account_disabled    = true
  run_command_enabled       = false
  azure_policy_enabled      = true
  oidc_issuer_enabled       = true
  workload_identity_enabled = true
  automatic_upgrade_channel = "patch"
  node_os_upgrade_channel   = "NodeImage"
  tags                      = local.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster[0].id]
  }

  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.nodes[0].client_id
    object_id                 = azurerm_user_assigned_identity.nodes[0].principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.nodes[0].id
  }

  azure_active_directory_role_based_access_control {
    azure_rbac_enabled = true
    tenant_id          = data.azurerm_client_config.current.tenant_id
  }

  # The system's own pods; those that serve get machines of their own.
  default_node_pool {
    name                         = "system"
    vm_size                      = "Standard_D2s_v5"
    auto_scaling_enabled         = true
    min_count                    = 1
    max_count                    = 3
    max_pods                     = 50
    only_critical_addons_enabled = true
    temporary_name_for_rotation  = "systemtmp"
    vnet_subnet_id               = azurerm_subnet.cluster[0].id

    upgrade_settings {
      max_surge = "33%"
    }
  }

  # The pools scale by themselves; Azure does not choose machines of its own.
  node_provisioning_profile {
    mode = "Manual"
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_policy      = "cilium"
    network_data_plane  = "cilium"
    load_balancer_sku   = "standard"
  }

  oms_agent {
    log_analytics_workspace_id      = azurerm_log_analytics_workspace.this.id
    msi_auth_for_monitoring_enabled = true
  }

  depends_on = [azurerm_role_assignment.cluster]
}

resource "azurerm_kubernetes_cluster_node_pool" "serving" {
  count = length(local.clusters)

  name                  = "serving"
  kubernetes_cluster_id = local.clusters[0].id
  mode                  = "User"
  vm_size               = var.node_size
  auto_scaling_enabled  = true
  min_count             = 1
  max_count             = var.max_nodes
  max_pods              = 50
  vnet_subnet_id        = azurerm_subnet.cluster[0].id
  tags                  = local.tags

  upgrade_settings {
    max_surge = "33%"
  }
}

# The endpoints get an address in the network alone, in public projects too: clients come from there.
resource "azurerm_kubernetes_cluster_extension" "azureml" {
  count = length(local.clusters)

  name              = "azureml"
  cluster_id        = local.clusters[0].id
  extension_type    = "Microsoft.AzureML.Kubernetes"
  release_namespace = "azureml"

  configuration_settings = merge(local.router_security, {
    enableInference              = "True"
    enableTraining               = "False"
    inferenceRouterServiceType   = "LoadBalancer"
    internalLoadBalancerProvider = "azure"
    inferenceRouterHA            = "False" # three routers would ask for three nodes
  })

  depends_on = [azurerm_kubernetes_cluster_node_pool.serving]
}

# Lets the workspace drive its extension, with no account on the cluster.
resource "azurerm_kubernetes_cluster_trusted_access_role_binding" "workspace" {
  count = length(local.clusters)

  name                  = "azureml"
  kubernetes_cluster_id = local.clusters[0].id
  source_resource_id    = azurerm_machine_learning_workspace.this.id
  roles                 = ["Microsoft.MachineLearningServices/workspaces/mlworkload"]
}

resource "azurerm_role_assignment" "cluster" {
  for_each = { for name, role in local.cluster_roles : name => role if local.has_cluster }

  principal_id         = each.value.principal
  principal_type       = "ServicePrincipal"
  scope                = each.value.scope
  role_definition_name = each.value.role

  lifecycle {
    precondition {
      condition     = contains(keys(module.shared.roles), each.value.role)
      error_message = "${each.value.role} is not among the roles of infra/shared/roles.tf."
    }
  }
}

resource "azurerm_role_assignment" "attachment" {
  for_each = { for name, role in local.attachment_roles : name => role if local.has_cluster }

  principal_id         = each.value.principal
  principal_type       = "ServicePrincipal"
  scope                = local.clusters[0].id
  role_definition_name = each.value.role

  lifecycle {
    precondition {
      condition     = contains(keys(module.shared.roles), each.value.role)
      error_message = "${each.value.role} is not among the roles of infra/shared/roles.tf."
    }
  }
}
