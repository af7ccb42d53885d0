"""A project's infra/ in a folder of its own, where the real Terraform builds it with the double in azurerm's place."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from doubles.terraform.client import Terraform
from rendering import VARIANTS
from variants.findings import Answers

ENVIRONMENTS = ("staging", "production")
# The options that choose among the files of infra/, or change project.yml, which it reads.
OPTIONS = ("network", "serving", "ci_cd")
LANDING_ZONES = list({tuple(variant[option] for option in OPTIONS): variant for variant in VARIANTS}.values())
# In the place of the accounts that keep the state.
LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
# What has no default, or does more when it is given.
EVERYTHING = {
    "alert_email": "team@example.com",
    "monthly_budget": "500",
    "runner": '{ ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVudXNlZHVudXNlZHVudXNlZHVudXNlZHVudXNlZHVu" }',
    "github_ids": '{ owner = "1234", repository = "5678" }',
    "azure_devops": (
        '{ issuer = "https://login.microsoftonline.com/00000000-0000-4000-8000-000000000002/v2.0", '
        'subject = "/eid1/c/pub/t/x/a/y/sc/00000000-0000-4000-8000-000000000003/production" }'
    ),
    "isolation_mode": "AllowOnlyApprovedOutbound",
    "serving_tls": '{ host = "score.example.com", secret = "tls" }',
}


def name_of(variant: Answers) -> str:
    return "-".join(variant[option] for option in OPTIONS)


@dataclass(frozen=True)
class Resource:
    """A resource that Terraform has made: its address, its type and all that it holds."""

    address: str
    type: str
    values: dict[str, Any]


class Failed(Exception):  # noqa: N818 - what Terraform says, not an error of these tests
    """Terraform ended a command with an error."""


@dataclass(frozen=True)
class LandingZone:
    """A root of Terraform, ready for its commands, for one environment.

    Attributes:
        project: The folder with project.yml; the root is infra/ or infra/bootstrap/ below it.
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

        Raises:
            Failed: It ended otherwise than with 0, or one of `exits`; with all that it said.
        """
        done = self.terraform(self.folder, *command.split(), "-no-color", environment=self.environment, **variables)
        if done.returncode not in (0, *exits):
            raise Failed(" ".join((done.stderr + done.stdout).replace("│", "").split()))
        return done

    def apply(self, **variables: str) -> None:
        self.run("apply -input=false -auto-approve", **variables)

    def changes(self, **variables: str) -> str:
        """Return what one more plan would change; nothing if it is empty."""
        done = self.run("plan -input=false -detailed-exitcode", 2, **variables)
        return done.stdout if done.returncode == 2 else ""

    def resources(self) -> list[Resource]:
        """Return what has been made."""
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
    """Copy what Terraform reads of a project, with its state kept beside it."""
    shutil.copytree(project / "infra", to / "infra")
    shutil.copy(project / "project.yml", to)
    (to / "infra" / "backend_override.tf").write_text(LOCAL_STATE, encoding="utf-8")
    return to


def landing_zone(terraform: Terraform, project: Path, root: str, environment: str) -> LandingZone:
    """Initialize a root for an environment."""
    zone = LandingZone(terraform, project, root, environment)
    zone.run("init -input=false")
    return zone


def variables_of(folder: Path) -> dict[str, str]:
    """Return a value for each variable of a root that takes more than its default."""
    texts = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.tf"))
    return {name: value for name, value in EVERYTHING.items() if f'variable "{name}"' in texts}
