"""Plant faults in a project's infra/ and check that each is caught.

Terraform catches violations of azurerm's schema, the variables' rules and the project's own tests; checkov catches
generally unsafe settings, and `infra_rules.py` violations of this project's rules.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from doubles.terraform.client import Terraform
from infra_rules import problems
from landing_zone import Failed, LandingZone, copy_infra
from rendering import ROOT, Render

ANSWERS = {"network": "private", "serving": "aci-aks", "ci_cd": "github-actions"}


@dataclass(frozen=True)
class Mutation:
    """A change in one file of infra/, and the error it must cause.

    Attributes
    ----------
    old :
        A regular expression for the text to replace once.
    by :
        What catches it: validate, plan, rules (infra_rules.py), checkov, or a test file for `terraform test`.
    error :
        A regular expression for the error; for checkov the rule.
    """

    name: str
    file: str
    old: str
    new: str
    by: str
    error: str
    environment: str = "production"


MUTATIONS = (
    # Arguments that azurerm 5 removed, and unknown blocks.
    Mutation(
        "parent-id",
        "github.tf",
        r"user_assigned_identity_id =",
        "parent_id                 =",
        "validate",
        r'"parent_id" is not expected here',
    ),
    Mutation(
        "account-name",
        "storage.tf",
        r"storage_account_id    = azurerm_storage_account\.this\.id",
        "storage_account_name  = azurerm_storage_account.this.name",
        "validate",
        r'"storage_account_name" is not expected here',
    ),
    Mutation(
        "wrong-block",
        "storage.tf",
        r"  network_rules \{",
        "  network_acls {",
        "validate",
        r'"network_acls" are not exp',
    ),
    Mutation(
        "block-twice",
        "storage.tf",
        r"    delete_retention_policy \{\n      days = 30\n    \}\n",
        "    delete_retention_policy {\n      days = 30\n    }\n" * 2,
        "validate",
        "Too many delete_retention_policy blocks",
    ),
    Mutation("undeclared", "storage.tf", r"local\.public_access \?", "local.public ?", "validate", "undeclared local"),
    Mutation("text", "workspace.tf", r"min_node_count +=.*", 'min_node_count = "none"', "validate", "a number is req"),
    # Forbidden settings.
    Mutation("bad-default", "variables.tf", r"default +=.*300", "default = 0", "plan", "monthly_budget is 1 or more"),
    Mutation(
        "public-switch",
        "network_private.tf",
        r"public_access +=.*",
        "public_access = true",
        "network_private.tftest.hcl",
        "answers on the internet|1 failed",
    ),
    Mutation(
        "public-workspace",
        "workspace.tf",
        r"(storage_account_access_type.*\n)  public_network_access_enabled .*",
        r"\1  public_network_access_enabled = true",
        "rules",
        r"workspace\.this has public_network_access_enabled = True, not False",
    ),
    Mutation(
        "public-vault-rules",
        "workspace.tf",
        r"default_action = local.*",
        'default_action = "Allow"',
        "rules",
        r"vault\.this has network_acls\.default_action = 'Allow'",
    ),
    Mutation(
        "no-endpoint",
        "network_private.tf",
        r"    vault +=\s*\{ id.*\n",
        "",
        "rules",
        r"azurerm_key_vault\.this has no private endpoint",
    ),
    Mutation("keys", "storage.tf", r"shared_access_key_enabled +=.*", "", "rules", "shared_access_key_enabled"),
    Mutation(
        "keys-test",
        "storage.tf",
        r"(shared_access_key_enabled +=).*",
        r"\1 true",
        "environment.tftest.hcl",
        "key to what identit",
    ),
    Mutation("admin", "workspace.tf", r"(admin_enabled +=).*", r"\1 true", "checkov", "CKV_AZURE_137"),
    Mutation("purge", "workspace.tf", r"(purge_protection_enabled +=).*", r"\1 false", "checkov", "CKV_AZURE_110"),
    Mutation("old-tls", "storage.tf", r'"TLS1_2"', '"TLS1_0"', "checkov", "CKV_AZURE_44"),
    # Roles.
    Mutation(
        "unlisted-role", "identity.tf", r'"AzureML Compute Operator"', '"Contributor"', "plan", "not among the roles"
    ),
    Mutation(
        "owner",
        "identity.tf",
        r"\Z",
        'resource "azurerm_role_assignment" "more" {\n  principal_id = local.ci\n  role_definition_name = "Owner"\n'
        "  scope = azurerm_machine_learning_workspace.this.id\n}\n",
        "rules",
        r"azurerm_role_assignment\.more gives the role Owner",
    ),
    Mutation(
        "subscription",
        "identity.tf",
        r"(ci-compute = .*)scope = azurerm_machine_learning_workspace\.this\.id",
        r'\1scope = "/subscriptions/${data.azurerm_client_config.current.subscription_id}"',
        "rules",
        r'lifecycle\["ci-compute"\] reaches all of /subscriptions/',
    ),
    Mutation(
        "role-twice",
        "identity.tf",
        r"(?m)^    ci-data = (.*)$",
        r"    ci-data = \1\n    ci-twice = \1",
        "rules",
        "conflicts with",
    ),
    Mutation(
        "unconstrained",
        "bootstrap/roles.tf",
        r"condition +=.*try\(each\.value\.condition, null\)",
        "condition = null",
        "rules",
        "without a condition",
    ),
    Mutation(
        "writing-plan",
        "bootstrap/roles.tf",
        r'(state = .*)"Storage Blob Data Reader"',
        r'\1"Storage Blob Data Contributor"',
        "rules",
        r'role_assignment\.plan\["state"\] lets plans change .*/tfstate',
    ),
    Mutation(
        "other-subject", "github/main.tf", r":environment:", ":ref:", "github.tftest.hcl", "Test assertion failed"
    ),
    # What Azure ML does not support, or silently does nothing with.
    Mutation("no-local-account", "aks.tf", r"(local_account_disabled +=) false", r"\1 true", "rules", "not False"),
    Mutation(
        "own-identity",
        "workspace.tf",
        r'"SystemAssigned, UserAssigned"',
        '"UserAssigned"',
        "rules",
        "workspace.this has identity.type = 'UserAssigned'",
    ),
    Mutation(
        "no-way-out",
        "container_instance.tf",
        r'(association" "containers" \{\n  count = )length\(azurerm_subnet\.containers\)(?=\n\n  subnet_id      =)',
        r"\1 0",
        "rules",
        r"azurerm_subnet\.containers\[0\] has no NAT gateway",
        "staging",
    ),
    Mutation(
        "cannot-lend", "identity.tf", r"    ci-lend-identity = .*\n", "", "rules", "identity .* which CI may not assign"
    ),
    Mutation(
        "no-logs",
        "aks.tf",
        r'(association" "cluster" \{\n  count = )length\(local\.clusters\)',
        r"\1 0",
        "rules",
        "sends its logs nowhere",
    ),
    Mutation(
        "one-range",
        "network.tf",
        r'local\.in_production \? "10\.21\.0\.0/20" : "10\.20\.0\.0/20"',
        '"10.20.0.0/20"',
        "environment.tftest.hcl",
        "one hub cannot reach",
    ),
    # Tags, names, values, protection.
    Mutation(
        "no-tags", "storage.tf", r"  tags +=.*\n", "", "rules", r"lacks the tags environment, managed-by, project"
    ),
    Mutation("one-tag-less", "shared/names.tf", r"    managed-by +=.*\n", "", "rules", "lacks the tags managed-by"),
    Mutation(
        "long-name",
        "shared/names.tf",
        r'key_vault += "kv-',
        'key_vault            = "kv-the-vault-of-the-project-',
        "rules",
        r"key_vault\.this: kv-the-vault-\S+ has 45 characters, Azure allows 3 to 24",
    ),
    Mutation("replication", "storage.tf", r'"ZRS"', '"ZSR"', "rules", "'ZSR', which Azure does not allow"),
    Mutation("no-lock", "protection.tf", r"    registry +=.*\n", "", "rules", "registry.this has no lock"),
)


def mutated(mutation: Mutation, project: Path) -> None:
    path = project / "infra" / mutation.file
    changed, found = re.subn(mutation.old, mutation.new, path.read_text(encoding="utf-8"), count=1)
    assert found, f"{mutation.file} does not match {mutation.old}"
    path.write_text(changed, encoding="utf-8")


@pytest.fixture(scope="module")
def project(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_infra(render(ANSWERS), tmp_path_factory.mktemp("right") / "project")


def error_of(mutation: Mutation, zone: LandingZone) -> str:
    """Return the error from the tool that the mutation names; any other than `validate` needs a valid zone."""
    issues = zone.terraform.diagnostics(zone.folder)
    if mutation.by == "validate":
        return " ".join(f"{issue['summary']}: {issue['detail']}" for issue in issues)
    assert issues == []
    if mutation.by == "rules":
        zone.apply()
        return "\n".join(problems(zone, private=True))
    with pytest.raises(Failed) as failure:
        zone.run("plan -input=false" if mutation.by == "plan" else f"test -filter=tests/{mutation.by}")
    return str(failure.value)


BY_TERRAFORM = [mutation for mutation in MUTATIONS if mutation.by != "checkov"]
BY_CHECKOV = [mutation for mutation in MUTATIONS if mutation.by == "checkov"]


@pytest.mark.parametrize("mutation", BY_TERRAFORM, ids=lambda mutation: mutation.name)
def test_a_mutation_is_caught(mutation: Mutation, project: Path, terraform: Terraform, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "project")
    mutated(mutation, tmp_path / "project")
    root = "infra/bootstrap" if mutation.file.startswith("bootstrap/") else "infra"
    zone = LandingZone(terraform, tmp_path / "project", root, mutation.environment)
    if mutation.by != "validate":
        zone.run("init -input=false")
    else:  # init already fails on some faults
        terraform.init(zone.folder)
    assert re.search(mutation.error, error_of(mutation, zone))


@pytest.fixture(scope="module")
def failed_checks(project: Path, tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Run checkov once over the project and each mutation; return the failures as (name, rule)."""
    tree = tmp_path_factory.mktemp("checkov")
    shutil.copytree(project, tree / "right")
    for mutation in BY_CHECKOV:
        shutil.copytree(project, tree / mutation.name)
        mutated(mutation, tree / mutation.name)
    python = os.environ.get("CHECKOV_PYTHON", str(ROOT / ".venv-checkov" / "bin" / "python"))
    options = "--framework terraform --skip-download --quiet --compact -o json -d .".split()
    done = subprocess.run(
        [python, "-m", "checkov.main", *options], cwd=tree, capture_output=True, encoding="utf-8", check=False
    )
    found = json.loads(done.stdout)["results"]["failed_checks"]
    return {(Path(item["file_path"]).parts[1], item["check_id"]) for item in found}


@pytest.mark.parametrize("mutation", BY_CHECKOV, ids=lambda mutation: mutation.name)
def test_checkov_catches_a_mutation(mutation: Mutation, failed_checks: set[tuple[str, str]]) -> None:
    assert (mutation.name, mutation.error) in failed_checks
    assert ("right", mutation.error) not in failed_checks
