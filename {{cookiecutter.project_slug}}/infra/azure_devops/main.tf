# Who a job with a service connection of Azure DevOps is to Azure. infra/ and infra/bootstrap/ use it.
variable "connection" {
  description = "Issuer and subject as the draft of the service connection shows them; null until there is one."
  type        = object({ issuer = string, subject = string })

  validation {
    condition = var.connection == null || can(regex(
      "^https://(login\\.microsoftonline\\.com/[0-9a-f-]{36}/v2\\.0|vstoken\\.dev\\.azure\\.com/[0-9a-f-]{36})$", var.connection.issuer
    ))
    error_message = "The issuer is https://login.microsoftonline.com/TENANT/v2.0, or https://vstoken.dev.azure.com/ORGANIZATION of older connections."
  }

  validation {
    condition     = var.connection == null || can(regex("^(sc://[^/]+/[^/]+/[^/]+|/eid1/[^ ]+/sc/[^ ]+)$", var.connection.subject))
    error_message = "The subject is that of a service connection: /eid1/.../sc/..., or sc://ORGANIZATION/PROJECT/CONNECTION of older ones."
  }
}

output "issuer" {
  description = "Who issues the tokens; null without a connection."
  value       = try(var.connection.issuer, null)
}

output "subject" {
  description = "Whom they are about; null without a connection."
  value       = try(var.connection.subject, null)
}
