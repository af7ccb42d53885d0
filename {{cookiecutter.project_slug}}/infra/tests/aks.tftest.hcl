# serving: aci-aks, with a kubernetes target. `terraform -chdir=infra test`
mock_provider "azurerm" {}

variables {
  environment      = "production"
  allow_plain_http = true
}

run "the_cluster_has_no_accounts_of_its_own" {
  assert {
    condition     = (local.project.serving.production.target == "kubernetes") == (length(azurerm_kubernetes_cluster.this) == 1)
    error_message = "The cluster is missing where the target is kubernetes, or exists elsewhere."
  }

  assert {
    condition = alltrue([
      for cluster in azurerm_kubernetes_cluster.this :
      cluster.workload_identity_enabled && cluster.oidc_issuer_enabled && !cluster.run_command_enabled
      && cluster.azure_active_directory_role_based_access_control[0].azure_rbac_enabled
      && cluster.private_cluster_enabled == !local.public_access && cluster.tags == local.tags
    ])
    error_message = "The cluster does not check identities, or is open to the wrong network."
  }

  assert {
    condition     = alltrue([for pool in azurerm_kubernetes_cluster_node_pool.serving : pool.auto_scaling_enabled && pool.max_count == var.max_nodes && pool.mode == "User"])
    error_message = "The serving machines do not scale."
  }

  assert {
    condition     = alltrue([for extension in azurerm_kubernetes_cluster_extension.azureml : extension.configuration_settings.internalLoadBalancerProvider == "azure"])
    error_message = "The endpoints have a public address."
  }

  assert {
    condition     = alltrue([for role in azurerm_role_assignment.cluster : contains(keys(module.shared.roles), role.role_definition_name)])
    error_message = "A role is too wide."
  }
}

run "plain_http_is_refused_in_production" {
  command = plan

  variables {
    allow_plain_http = false
  }

  expect_failures = [azurerm_kubernetes_cluster_extension.azureml]
}

run "endpoints_take_a_certificate" {
  variables {
    serving_tls      = { host = "score.example.com", secret = "score-tls" }
    allow_plain_http = false
  }

  assert {
    condition = alltrue([
      for extension in azurerm_kubernetes_cluster_extension.azureml :
      extension.configuration_settings.allowInsecureConnections == "False" && extension.configuration_settings.sslSecret == "score-tls"
    ])
    error_message = "The endpoints answer without TLS despite a certificate."
  }
}

run "bad_settings_are_refused" {
  command = plan

  variables {
    node_size   = "big"
    max_nodes   = 0
    serving_tls = { host = "score", secret = "" }
  }

  expect_failures = [var.node_size, var.max_nodes, var.serving_tls]
}
