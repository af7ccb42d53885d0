"""A rendered project on Azure Pipelines, and what `mlops connect` calls: an organization, `az`, `git`, `terraform`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doubles import SUBSCRIPTION, az_of_states
from doubles.azure_devops import serving
from doubles.azure_devops_organization import ENTRA, PAT, TENANT, Interruption, Organization
from doubles.terraform.client import Terraform
from landing_zone import ENVIRONMENTS, LOCAL_STATE

KILL = 'case "$0 $*" in *"${KILL_AT:-@none@}"*) kill -9 0;; esac\n'
GIT = f"""#!/bin/sh
{KILL}echo "git $*" >> "$CALLS"
exec @git "$@"
"""
# Terraform's own state in Azure is beside the point here: `infra_site` has it.
TERRAFORM = f"""#!/bin/sh
{KILL}echo "terraform $*" >> "$CALLS"
case "$*" in *-reconfigure*) exit 0;; esac
exec @terraform "$@"
"""
DISCONNECT = """
import pathlib, sys
from mlops.connect.disconnect import main
sys.exit(main(sys.argv[1:], pathlib.Path.cwd()))
"""
ACCOUNT = {
    "id": SUBSCRIPTION,
    "tenantId": TENANT,
    "name": "Team",
    "user": {"name": "alice@example.com", "type": "user"},
}


@dataclass
class Site:
    """A project that is not connected yet.

    Attributes
    ----------
    folder :
        Of the project, and of all that is stored elsewhere.
    """

    folder: Path
    project: Path
    devops: Organization
    terraform: Terraform
    variables: dict[str, str]
    process: "subprocess.Popen[str] | None" = None
    output: str = field(default="", repr=False)

    def connect(self, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run `mlops connect --yes` with some variables besides; those that are "" are not set."""
        return self._run(["src/mlops/connect", "--yes", *words], changes)

    def disconnect(self) -> subprocess.CompletedProcess[str]:
        """Run `mlops disconnect --yes`."""
        return self._run(["-c", DISCONNECT, "--yes"], {"PYTHONPATH": "src"})

    def _run(self, words: list[str], changes: dict[str, str]) -> subprocess.CompletedProcess[str]:
        variables = {name: value for name, value in {**self.variables, **changes}.items() if value}
        command = [sys.executable, *words]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command,
            cwd=self.project,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            self.process = process
            said, _ = process.communicate()
        self.output += said
        return subprocess.CompletedProcess(command, process.returncode, said)

    def interrupt(self, after: int) -> None:
        """Kill the next command, and what it has started, after some calls that change something."""
        self.devops.interruption = Interruption(self._kill, after)

    def _kill(self) -> None:
        assert self.process
        self.devops.interruption = None
        os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def states(self) -> list[Path]:
        bootstrap = [self.project / "infra" / "bootstrap" / f"{name}.tfstate" for name in ENVIRONMENTS]
        return [*bootstrap, *(self.folder / "azure" / f"{name}.tfstate" for name in ENVIRONMENTS)]

    def attributes(self, kind: str) -> list[dict[str, Any]]:
        """Return the attributes of all resources of a type that Terraform has made."""
        return [
            instance["attributes"]
            for file in self.states
            if file.is_file()
            for one in json.loads(file.read_text("utf-8"))["resources"]
            if one["type"] == kind
            for instance in one["instances"]
        ]

    def trusted(self) -> dict[str, str]:
        """Return the subject that each identity trusts, by its name."""
        names = {one["id"]: one["name"] for one in self.attributes("azurerm_user_assigned_identity")}
        found = self.attributes("azurerm_federated_identity_credential")
        return dict(sorted((names[one["user_assigned_identity_id"]], one["subject"]) for one in found))

    def clients(self) -> dict[str, str]:
        """Return the name of each identity by its client id."""
        return {one["client_id"]: one["name"] for one in self.attributes("azurerm_user_assigned_identity")}

    def trusts(self, client: str, issuer: str, subject: str) -> bool:
        owners = [one["id"] for one in self.attributes("azurerm_user_assigned_identity") if one["client_id"] == client]
        return any(
            (one["user_assigned_identity_id"], one["issuer"], one["subject"]) == (owners[0], issuer, subject)
            for one in self.attributes("azurerm_federated_identity_credential")
        )

    def apply(self, repository: Path) -> bool:
        """Apply infra/ of a repository's main to both environments, as its pipeline does."""
        copied = self.folder / "agent"
        shutil.rmtree(copied, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", "--branch", "main", repository, copied], check=True)
        (copied / "infra" / "backend_override.tf").write_text(LOCAL_STATE, encoding="utf-8")
        self.terraform(copied / "infra", "init", "-input=false")
        for name in ENVIRONMENTS:
            state = self.folder / "azure" / f"{name}.tfstate"
            options = (f"-state={state}", f"-var-file={name}.tfvars")
            done = self.terraform(
                copied / "infra", "apply", "-input=false", "-auto-approve", "-no-color", *options, environment=name
            )
            if done.returncode:
                self.output += done.stdout + done.stderr
                return False
        return True

    def calls(self) -> list[str]:
        """Return the commands so far."""
        return (self.folder / "calls").read_text("utf-8").splitlines()

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", "-C", self.devops.repository(), *words], check=True, stdout=subprocess.PIPE, encoding="utf-8"
        ).stdout


@contextmanager
def running_connect_site(rendered: Path, terraform: Terraform, folder: Path) -> Iterator[Site]:
    """Copy a rendered project, and serve an organization for it."""
    project = Path(shutil.copytree(rendered, folder / "project"))
    settings = project / "project.yml"
    text = settings.read_text("utf-8")
    settings.write_text(
        text.replace("repository: ORG/credit-risk", "repository: Credit Risk/credit-risk"), encoding="utf-8"
    )
    programs = folder / "programs"
    real = terraform.install(folder / "real")
    real.pop("TF_DATA_DIR")
    programs.mkdir()
    (folder / "azure").mkdir()
    (folder / "calls").touch()
    for name, text in {
        "git": GIT.replace("@git", str(shutil.which("git"))),
        "terraform": TERRAFORM.replace("@terraform", str(folder / "real" / "terraform")),
    }.items():
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    (folder / "devops").mkdir()
    az_of_states.install(programs)
    with serving(Organization("", folder=folder / "devops")) as devops:
        variables = {
            **real,
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "HOME": str(folder),
            "CALLS": str(folder / "calls"),
            "AZ_TOKEN": ENTRA,
            "AZ_ACCOUNT": json.dumps(ACCOUNT),
            "AZURE_DEVOPS_EXT_PAT": PAT,
            "AZURE_DEVOPS_ORG_URL": devops.address,
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "Alice",
            "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "alice@example.com",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        site = Site(folder, project, devops, terraform, variables)
        variables["STATES"] = os.pathsep.join(map(str, site.states))
        devops.trusts, devops.apply = site.trusts, site.apply
        yield site
