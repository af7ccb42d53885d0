"""The subject that connect finds is the one that tokens have, and the one that Terraform builds, on every server."""

from pathlib import Path

import pytest
from connecting import bench
from doubles.github import Fault
from doubles.terraform.client import Terraform
from landing_zone import copy_infra, landing_zone
from rendering import Render

ISSUERS = {
    "github.com": "https://token.actions.githubusercontent.com",
    "octocorp.ghe.com": "https://token.actions.octocorp.ghe.com",
    "git.example.com": "https://git.example.com/_services/token",
}


@pytest.mark.parametrize(
    ("host", "is_immutable", "name"),
    [
        ("github.com", False, "octo/credit-risk"),
        ("github.com", False, "OCTO/Credit-Risk"),  # Entra compares in this case: GitHub's counts
        ("octocorp.ghe.com", True, "octo/credit-risk"),
        ("git.example.com", False, "octo/credit-risk"),
    ],
)
def test_terraform_builds_the_subject_that_tokens_have(
    render: Render, terraform: Terraform, tmp_path: Path, host: str, is_immutable: bool, name: str
) -> None:
    with bench(render({"repository": name}), tmp_path, host) as person:
        person.github.create("octo", "credit-risk", "alice")
        person.github.immutable = is_immutable
        person.github.planted.append(Fault("conflict", "PUT", "/actions/permissions$"))  # enough for this test
        done = person.connect()
        assert "Actions: " in done.stdout, done.stdout
        prefix = person.github.subject_prefix() or "repo:octo/credit-risk"
        hosts = {call.host for call in person.github.calls}
    assert hosts == {host if host == "git.example.com" else f"api.{host}"}
    copied = copy_infra(person.project, tmp_path / "copy")
    checked = terraform(copied / "infra", "fmt", "-check", "-recursive")  # as each pull request does
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for root, environments in (("infra/bootstrap", ("staging-infra", "staging-plan")), ("infra", ("staging",))):
        zone = landing_zone(terraform, copied, root, "staging")
        file = copied / "infra" / "staging.tfvars"
        lines = filter(None, file.read_text("utf-8").splitlines()) if file.exists() else ()
        given = (line.split(" = ", 1) for line in lines)
        zone.apply(**{key: value.strip('"') for key, value in given})
        found = {
            (one.values["subject"], one.values["issuer"])
            for one in zone.resources()
            if one.type == "azurerm_federated_identity_credential"
        }
        assert found == {(f"{prefix}:environment:{one}", ISSUERS[host]) for one in environments}


def test_a_subject_of_its_own_is_refused(render: Render, tmp_path: Path) -> None:
    with bench(render({"repository": "octo/credit-risk"}), tmp_path) as person:
        person.github.create("octo", "credit-risk", "alice")
        person.github.subject = {"use_default": False, "include_claim_keys": ["repo", "job_workflow_ref"]}
        done = person.connect()
    assert done.returncode == 1
    assert "The subject of the repository's tokens is made of repo, job_workflow_ref; infra/ needs" in done.stdout
    assert "Fix: gh api --method PUT repos/octo/credit-risk/actions/oidc/customization/sub -F use_default=true" in (
        done.stdout
    )
    assert person.changes() == []
