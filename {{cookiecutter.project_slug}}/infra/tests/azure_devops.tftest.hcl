# ci_cd: azure-pipelines. `terraform -chdir=infra test`
mock_provider "azurerm" {}

variables {
  environment = "staging"
}

run "before_there_is_a_connection" {
  assert {
    condition     = length(azurerm_federated_identity_credential.ci) == 0 && output.federated_subject == null
    error_message = "A subject is trusted before a connection exists."
  }
}

run "a_connection" {
  variables {
    azure_devops = {
      issuer  = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0"
      subject = "/eid1/c/pub/t/abc/a/def/sc/00000000-0000-0000-0000-000000000001/00000000-0000-0000-0000-000000000002"
    }
  }

  assert {
    condition     = azurerm_federated_identity_credential.ci[0].issuer == var.azure_devops.issuer && azurerm_federated_identity_credential.ci[0].subject == var.azure_devops.subject
    error_message = "The subject differs from that of the service connection's tokens."
  }
}

run "others_are_refused" {
  command = plan

  variables {
    azure_devops = { issuer = "https://token.actions.githubusercontent.com", subject = "repo:a/b:environment:staging" }
  }

  expect_failures = [var.azure_devops]
}
