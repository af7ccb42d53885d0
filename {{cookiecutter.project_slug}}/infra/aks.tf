# For `mlops deploy` to a `kubernetes` target: a cluster with Azure ML's extension. The output `attach` is the command that
# attaches it to the workspace, once, because azurerm supports only CLI v1's attachment.
variable "node_size" {
  description = "The size of the serving machines."
  type        = string
  default     = "Standard_D4s_v5"

  validation {
    condition     = can(regex("^Standard_[A-Za-z0-9_]+$", var.node_size))
    error_message = "node_size is a size such as Standard_D4s_v5."
  }
}

variable "max_nodes" {
  description = "The maximum number of serving machines."
  type        = number
  default     = 4

  validation {
    condition     = var.max_nodes >= 1 && var.max_nodes <= 100
    error_message = "max_nodes is from 1 to 100."
  }
}

variable "serving_tls" {
  description = "The host name of the endpoints, and the secret with its certificate in the namespace azureml; null serves plain HTTP within the network."
  type        = object({ host = string, secret = string })
  default     = null

  validation {
    condition     = var.serving_tls == null || can(regex("^[a-z0-9.-]+\\.[a-z]+ [a-z0-9.-]+$", "${var.serving_tls.host} ${var.serving_tls.secret}"))
    error_message = "serving_tls holds a host name such as score.example.com, and the name of a secret."
  }
}

variable "allow_plain_http" {
  description = "Whether production may serve without a certificate: tokens and rows then cross the network unencrypted."
  type        = bool
  default     = false
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
    # The cluster allocates the endpoints' address in its subnet, and assigns its nodes their identity.
    network       = { principal = one(azurerm_user_assigned_identity.cluster[*].principal_id), scope = one(azurerm_subnet.cluster[*].id), role = "Network Contributor" }
    lend-identity = { principal = one(azurerm_user_assigned_identity.cluster[*].principal_id), scope = one(azurerm_user_assigned_identity.nodes[*].id), role = "Managed Identity Operator" }
    # Nodes pull the image of the environment.
    images = { principal = one(azurerm_user_assigned_identity.nodes[*].principal_id), scope = azurerm_container_registry.this.id, role = "AcrPull" }
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
  sku_tier                  = "Standard" # the tier with an availability SLA
  private_cluster_enabled   = !local.public_access
  local_account_disabled    = false # Azure ML's extension needs the cluster's own administrator
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

  # System pods only; serving pods run on a separate pool.
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

  # The pools autoscale; Azure does not provision other machine sizes.
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
    log_analytics_workspace_id      = local.logs
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

# The endpoints get a private address, in public projects too: clients are in the network.
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
    inferenceRouterHA            = "False" # three routers would need three nodes
  })

  depends_on = [azurerm_kubernetes_cluster_node_pool.serving]

  lifecycle {
    precondition {
      condition     = var.serving_tls != null || var.allow_plain_http || !local.in_production
      error_message = "Production would serve plain HTTP: anyone in the network could read tokens and rows. Set serving_tls, or accept it with allow_plain_http = true."
    }
  }
}

# The logs of the serving pods.
resource "azurerm_monitor_data_collection_rule" "cluster" {
  count = length(local.clusters)

  name                = local.names.cluster_logs
  resource_group_name = local.group
  location            = local.location
  tags                = local.tags

  data_sources {
    extension {
      name           = "ContainerInsightsExtension"
      extension_name = "ContainerInsights"
      streams        = ["Microsoft-ContainerLogV2", "Microsoft-KubeEvents"]
      extension_json = jsonencode({
        dataCollectionSettings = {
          interval               = "5m"
          namespaceFilteringMode = "Include"
          namespaces             = ["azureml"]
          enableContainerLogV2   = true
        }
      })
    }
  }

  data_flow {
    streams      = ["Microsoft-ContainerLogV2", "Microsoft-KubeEvents"]
    destinations = ["log-analytics"]
  }

  destinations {
    log_analytics {
      name                  = "log-analytics"
      workspace_resource_id = local.logs
    }
  }
}

resource "azurerm_monitor_data_collection_rule_association" "cluster" {
  count = length(local.clusters)

  name                    = "ContainerInsightsExtension"
  target_resource_id      = local.clusters[0].id
  data_collection_rule_id = azurerm_monitor_data_collection_rule.cluster[0].id
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

output "attach" {
  description = "Attaches the cluster to the workspace, once: run it as an identity that may apply infra/. Empty without a cluster."
  value = join("", [for cluster in local.clusters : join(" ", [
    "az ml compute attach --type Kubernetes --name ${local.names.attached_cluster} --namespace azureml",
    "--identity-type SystemAssigned --resource-id ${cluster.id}",
    "--resource-group ${local.group} --workspace-name ${azurerm_machine_learning_workspace.this.name}",
  ])])
}
