# ci_cd: github-actions. `terraform -chdir=infra test`
mock_provider "azurerm" {}

variables {
  environment = "staging"
}

run "the_classic_subject" {
  assert {
    condition     = azurerm_federated_identity_credential.ci.subject == "repo:${local.project.repository}:environment:staging"
    error_message = "The subject differs from that of GitHub's tokens."
  }
}

run "the_immutable_subject" {
  variables {
    github_ids = { owner = "12", repository = "345" }
  }

  assert {
    condition     = azurerm_federated_identity_credential.ci.subject == "repo:${replace(local.project.repository, "/", "@12/")}@345:environment:staging"
    error_message = "The subject differs from that of GitHub's tokens."
  }
}

run "ids_are_numbers" {
  command = plan

  variables {
    github_ids = { owner = "ORG", repository = "345" }
  }

  expect_failures = [var.github_ids]
}
