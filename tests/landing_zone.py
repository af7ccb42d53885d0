"""A copy of a project's infra/, for the real Terraform with the double as its azurerm provider."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from doubles.terraform.client import Terraform
from rendering import VARIANTS
from variants.findings import Answers

ENVIRONMENTS = ("staging", "production")
# The options that choose files of infra/, or change project.yml, which it reads.
OPTIONS = ("network", "serving", "ci_cd")
LANDING_ZONES = list({tuple(variant[option] for option in OPTIONS): variant for variant in VARIANTS}.values())
# Those on GitHub beside the default one.
OTHERS_ON_GITHUB = [zone for zone in LANDING_ZONES if zone["ci_cd"] == "github-actions"][1:]
# The service connections of an Azure DevOps project, by name.
CONNECTIONS = {
    "staging": "00000000-0000-4000-8000-000000000003",
    "production": "00000000-0000-4000-8000-000000000004",
    "staging-plan": "00000000-0000-4000-8000-000000000005",
    "production-plan": "00000000-0000-4000-8000-000000000006",
    "staging-infra": "00000000-0000-4000-8000-000000000007",
    "production-infra": "00000000-0000-4000-8000-000000000008",
}
# Replaces the storage accounts that hold the state.
LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
# Settings without which no default apply succeeds: production refuses plain HTTP.
NEEDED = {"allow_plain_http": "true"}
# Variables that have no default, or add resources when set.
EVERYTHING = {
    "alert_email": "team@example.com",
    "monthly_budget": "500",
    "runner": '{ ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVudXNlZHVudXNlZHVudXNlZHVudXNlZHVudXNlZHVu" }',
    "github_issuer": "https://token.actions.octocorp.ghe.com",
    "github_ids": '{ owner = "1234", repository = "5678" }',
    "azure_devops": (
        '{ issuer = "https://login.microsoftonline.com/00000000-0000-4000-8000-000000000002/v2.0", '
        'subject = "/eid1/c/pub/t/x/a/y/sc/00000000-0000-4000-8000-000000000003/production" }'
    ),
    "azure_devops_plan": (
        '{ issuer = "https://login.microsoftonline.com/00000000-0000-4000-8000-000000000002/v2.0", '
        'subject = "/eid1/c/pub/t/x/a/y/sc/00000000-0000-4000-8000-000000000005/production-plan" }'
    ),
    "isolation_mode": "AllowOnlyApprovedOutbound",
    "hub_network_id": "/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub",
    "log_analytics_workspace_id": (
        "/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.OperationalInsights/workspaces/log-hub"
    ),
    "dns_zone_ids": (
        '{ "privatelink.azurecr.io" = "/subscriptions/s/resourceGroups/rg-hub/providers/'
        'Microsoft.Network/privateDnsZones/privatelink.azurecr.io" }'
    ),
    "serving_tls": '{ host = "score.example.com", secret = "tls" }',
}


def name_of(variant: Answers) -> str:
    return "-".join(variant[option] for option in OPTIONS)


@dataclass(frozen=True)
class Resource:
    """A resource that Terraform has created: address, type and values."""

    address: str
    type: str
    values: dict[str, Any]


class Failed(Exception):  # noqa: N818 - an expected outcome of a command
    """Terraform ended a command with an error."""


@dataclass(frozen=True)
class LandingZone:
    """A Terraform root module of one environment.

    Attributes
    ----------
    project :
        The folder with project.yml; the root is infra/ or infra/bootstrap/ below it.
    """

    terraform: Terraform
    project: Path
    root: str
    environment: str

    @property
    def folder(self) -> Path:
        return self.project / self.root

    def run(self, command: str, *exits: int, **variables: str) -> CompletedProcess[str]:
        """Run a command.

        Raises
        ------
        Failed
            The exit code is neither 0 nor one of `exits`; holds the output.
        """
        given = {"environment": self.environment, **NEEDED, **variables}
        done = self.terraform(self.folder, *command.split(), "-no-color", **given)
        if done.returncode not in (0, *exits):
            raise Failed(" ".join((done.stderr + done.stdout).replace("│", "").split()))
        return done

    def apply(self, **variables: str) -> None:
        self.run("apply -input=false -auto-approve", **variables)

    def changes(self, **variables: str) -> str:
        """Return what another plan would change, or an empty string."""
        done = self.run("plan -input=false -detailed-exitcode", 2, **variables)
        return done.stdout if done.returncode == 2 else ""

    def resources(self) -> list[Resource]:
        """Return the created resources."""
        state = json.loads(self.run("show -json").stdout)
        return list(_resources(state["values"]["root_module"]))

    def outputs(self) -> dict[str, Any]:
        found = json.loads(self.run("output -json").stdout)
        return {name: output["value"] for name, output in found.items()}


def _resources(module: dict[str, Any]) -> Iterator[Resource]:
    for item in module.get("resources", ()):
        if item["mode"] == "managed":
            yield Resource(item["address"], item["type"], item["values"])
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def copy_infra(project: Path, to: Path) -> Path:
    """Copy a project's files that Terraform reads, with a local state."""
    shutil.copytree(project / "infra", to / "infra")
    shutil.copy(project / "project.yml", to)
    (to / "infra" / "backend_override.tf").write_text(LOCAL_STATE, encoding="utf-8")
    return to


def landing_zone(terraform: Terraform, project: Path, root: str, environment: str) -> LandingZone:
    """Initialize a root for an environment."""
    zone = LandingZone(terraform, project, root, environment)
    zone.run("init -input=false")
    return zone


def apply_both(
    terraform: Terraform,
    project: Path,
    folder: Path,
    root: str,
    variables: Callable[[str], dict[str, str]] = lambda _: {},
    prepare: Callable[[Path], object] = lambda _: None,
) -> list[LandingZone]:
    """Apply a root for both environments, from copies in a folder.

    Parameters
    ----------
    variables :
        Returns the variables of an environment.
    prepare :
        Changes a copy before it is applied.
    """
    zones = []
    for environment in ENVIRONMENTS:
        copied = copy_infra(project, folder / environment)
        prepare(copied)
        zone = landing_zone(terraform, copied, root, environment)
        zone.apply(**variables(environment))
        zones.append(zone)
    return zones


def trusting(variant: Answers, environment: str) -> dict[str, str]:
    """Return the variables by which Terraform trusts the service connection of an environment."""
    if variant["ci_cd"] == "github-actions":
        return {}
    return {"azure_devops": _federation(environment)}


def trusting_terraform(environment: str) -> dict[str, str]:
    """Return the variables of infra/bootstrap/ for the service connections that apply and plan an environment."""
    return {
        "azure_devops": _federation(f"{environment}-infra"),
        "azure_devops_plan": _federation(f"{environment}-plan"),
    }


def subject_of(connection: str) -> str:
    """Return the subject of a service connection's tokens."""
    return f"/eid1/c/pub/t/x/a/y/sc/z/{CONNECTIONS[connection]}"


def _federation(connection: str) -> str:
    issuer = "https://login.microsoftonline.com/00000000-0000-4000-8000-000000000002/v2.0"
    return f'{{ issuer = "{issuer}", subject = "{subject_of(connection)}" }}'


def variables_of(folder: Path) -> dict[str, str]:
    """Return a value for each of a root's variables in EVERYTHING."""
    texts = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.tf"))
    return {name: value for name, value in EVERYTHING.items() if f'variable "{name}"' in texts}
