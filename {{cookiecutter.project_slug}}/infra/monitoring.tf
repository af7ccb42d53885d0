# Logs, alerts and the budget, for the resources that `mlops run` and `mlops deploy` create.
resource "azurerm_log_analytics_workspace" "this" {
  count = var.log_analytics_workspace_id == null ? 1 : 0

  name                         = local.names.log_analytics
  resource_group_name          = local.group
  location                     = local.location
  sku                          = "PerGB2018"
  retention_in_days            = var.log_retention_days
  daily_quota_gb               = var.log_daily_gb
  local_authentication_enabled = false
  tags                         = local.tags
}

# Endpoints report each request here; Azure ML passes them the key.
resource "azurerm_application_insights" "this" {
  name                = local.names.application_insights
  resource_group_name = local.group
  location            = local.location
  application_type    = "web"
  workspace_id        = local.logs
  tags                = local.tags
}

# Audit logs of the workspace, its secrets, images and files.
locals {
  watched = {
    workspace = { id = azurerm_machine_learning_workspace.this.id, category_group = "allLogs" }
    vault     = { id = azurerm_key_vault.this.id, category_group = "audit" }
    registry  = { id = azurerm_container_registry.this.id, category_group = "audit" }
    blobs     = { id = "${azurerm_storage_account.this.id}/blobServices/default", category_group = "audit" }
  }
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  for_each = local.watched

  name                       = "to-log-analytics"
  target_resource_id         = each.value.id
  log_analytics_workspace_id = local.logs

  enabled_log {
    category_group = each.value.category_group
  }
}

resource "azurerm_monitor_action_group" "this" {
  name                = local.names.action_group
  resource_group_name = local.group
  short_name          = substr(local.project.azure.prefix, 0, 12)
  tags                = local.tags

  arm_role_receiver {
    name                    = "owners"
    role_id                 = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635" # Owner
    use_common_alert_schema = true
  }

  dynamic "email_receiver" {
    for_each = var.alert_email[*]

    content {
      name                    = "team"
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }
}

# Releases create and remove endpoints, so the alerts read the requests from Application Insights.
locals {
  alerts = {
    endpoint-errors = {
      description = "Requests to the endpoint fail."
      scope       = azurerm_application_insights.this.id
      namespace   = "microsoft.insights/components"
      metric      = "requests/failed"
      aggregation = "Count"
      threshold   = 5
      severity    = 1
    }
    endpoint-latency = {
      description = "The endpoint answers slowly."
      scope       = azurerm_application_insights.this.id
      namespace   = "microsoft.insights/components"
      metric      = "requests/duration"
      aggregation = "Average"
      threshold   = var.max_latency_ms
      severity    = 2
    }
    failed-jobs = {
      description = "A job of the workspace failed."
      scope       = azurerm_machine_learning_workspace.this.id
      namespace   = "Microsoft.MachineLearningServices/workspaces"
      metric      = "Failed Runs"
      aggregation = "Total"
      threshold   = 0
      severity    = 2
    }
  }
}

resource "azurerm_monitor_metric_alert" "this" {
  for_each = local.alerts

  name                = each.key
  resource_group_name = local.group
  scopes              = [each.value.scope]
  description         = each.value.description
  severity            = each.value.severity
  frequency           = "PT5M"
  window_size         = "PT15M"
  tags                = local.tags

  criteria {
    metric_namespace       = each.value.namespace
    metric_name            = each.value.metric
    aggregation            = each.value.aggregation
    operator               = "GreaterThan"
    threshold              = each.value.threshold
    skip_metric_validation = true # the metric does not exist before the first request
  }

  action {
    action_group_id = azurerm_monitor_action_group.this.id
  }
}

resource "azurerm_consumption_budget_resource_group" "this" {
  name              = local.names.budget
  resource_group_id = data.azurerm_resource_group.this.id
  amount            = var.monthly_budget
  time_grain        = "Monthly"

  time_period {
    start_date = formatdate("YYYY-MM-01'T'00:00:00'Z'", plantimestamp())
  }

  dynamic "notification" {
    for_each = { half = [50, "Actual"], spent = [90, "Actual"], forecast = [100, "Forecasted"] }

    content {
      threshold      = notification.value[0]
      threshold_type = notification.value[1]
      operator       = "GreaterThanOrEqualTo"
      contact_groups = [azurerm_monitor_action_group.this.id]
      contact_emails = var.alert_email[*]
      contact_roles  = ["Owner"]
    }
  }

  lifecycle {
    ignore_changes = [time_period] # starts with the month of the first apply
  }
}
