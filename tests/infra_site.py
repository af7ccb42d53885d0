"""A project whose state and plans live in the double's storage, for the real Terraform with its real backend."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure_landing import landing_zone_of
from azure_project import PREFIX, name_of
from doubles import SUBSCRIPTION
from doubles.client import Double, running_double
from doubles.github import Environment, GitHub, Token, running_github
from doubles.proxy import running_proxy
from doubles.terraform.client import Terraform
from landing_zone import apply_both

REPOSITORY = "repo:ORG/credit-risk"
APPROVED_RUN = "100"  # of a workflow, which a reviewer let change production


@dataclass(frozen=True)
class Site:
    """A project whose infra/bootstrap/ is applied for both environments.

    Attributes
    ----------
    project :
        Its folder, with infra/ as rendered: the state is in Azure.
    clients :
        The client ids of the identities, by name.
    """

    project: Path
    python: Path
    azure: Double
    terraform: Terraform
    variables: dict[str, str]
    clients: dict[str, str]
    github: GitHub

    def job(self, environment: str) -> dict[str, str]:
        """Return the variables of a job in a GitHub environment, with its own identity; `staging` is CI's."""
        where, _, role = environment.partition("-")
        identity = {"infra": "terraform", "plan": "plan", "": "ci"}[role]
        client = self.clients.get(f"id-{PREFIX}-{where}-{identity}", "none")
        run = {"GITHUB_RUN_ID": APPROVED_RUN, "GITHUB_TOKEN": APPROVED_RUN, "GITHUB_REPOSITORY": "ORG/credit-risk"}
        job = self.azure.github_job(f"{REPOSITORY}:environment:{environment}", client)
        return {"GITHUB_ACTIONS": "true", "GITHUB_API_URL": self.github.url, **run, **job}

    def run(self, job: str, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run `mlops infra` in a job of a GitHub environment."""
        return self.run_as({**self.job(job), **changes}, *words)

    def run_as(self, who: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
        """Run `mlops infra` with some variables."""
        return self._run([self.python, "-m", "mlops", "infra", *words], who)

    def terraform_as(self, job: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `terraform` in infra/ as a person who has the identity of a job."""
        identity = self.job(job)
        names = {"ARM_CLIENT_ID": "AZURE_CLIENT_ID", "ARM_TENANT_ID": "AZURE_TENANT_ID"}
        login = {"ARM_USE_OIDC": "true", **{name: identity[other] for name, other in names.items()}}
        return self._run(["terraform", f"-chdir={self.project / 'infra'}", *words], {**identity, **login})

    def start(self, job: str, *words: str) -> subprocess.Popen[str]:
        """Start `mlops infra` in a job of a GitHub environment."""
        return subprocess.Popen([self.python, "-m", "mlops", "infra", *words], **self._options(self.job(job)))

    def _run(self, command: list[str | Path], who: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, **self._options(who), check=False)

    def _options(self, who: dict[str, str]) -> dict[str, Any]:
        paths = {
            "PYTHONPATH": str(self.project / "src"),
            "GITHUB_OUTPUT": os.devnull,
            "GITHUB_STEP_SUMMARY": os.devnull,
        }
        return {
            "cwd": self.project,
            "env": {**os.environ, **paths, **self.azure.environment, **self.variables, **who},
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "encoding": "utf-8",
        }

    def plan(self, environment: str, job: str = "") -> tuple[str, bool]:
        """Plan an environment, as the identity that only plans; return the digest and whether it has changes."""
        done = self.run(job or f"{environment}-plan", "plan", environment)
        found = re.search(r"^plan=([0-9a-f]{64}) changes=(true|false)\Z", done.stdout.rstrip("\n"), re.MULTILINE)
        assert done.returncode == 0, done.stdout
        assert found, done.stdout
        return found[1], found[2] == "true"

    def apply_by_hand(self, environment: str) -> None:
        """Plan and apply an environment as a person who is logged in with `az`, such as the first time."""
        who = {"DOUBLE_LOGIN": "operator"}
        planned = self.run_as(who, "plan", environment)
        digest = planned.stdout.rpartition("plan=")[2].partition(" ")[0]
        done = self.run_as(who, "apply", environment, "--plan", digest)
        assert done.returncode == 0, planned.stdout + done.stdout

    def apply(self, environment: str, digest: str) -> subprocess.CompletedProcess[str]:
        """Apply a plan, as the identity that a reviewer lets in."""
        return self.run(f"{environment}-infra", "apply", environment, "--plan", digest)

    def blob(self, environment: str, path: str) -> Path:
        """Return the file of a blob in the account of an environment's state."""
        return self.azure.folder / "storage" / name_of("state_storage", environment) / path

    def state(self, environment: str) -> bytes:
        return self.blob(environment, "tfstate/infra.tfstate").read_bytes()

    def network(self, program: dict[str, str]) -> dict[str, str]:
        """Return the variables that lead jobs to the doubles, with those that their Terraform needs.

        Every job has its own infra/.terraform, and the program that it installs.
        """
        shared = {**self.variables, **program}
        led = {name: value for name, value in shared.items() if name not in ("PATH", "TF_DATA_DIR")}
        return {**self.azure.environment, **led, "AZURE_AUTHORITY_HOST": self.azure.url}


@contextmanager
def running_site(
    rendered: Path,
    terraform: Terraform,
    python: Path,
    folder: Path,
    variables: Callable[[str], dict[str, str]] = lambda _: {},
) -> Iterator[Site]:
    """Apply infra/bootstrap/ with the variables of each environment, and run a double of what it has made."""
    content = landing_zone_of(apply_both(terraform, rendered, folder, "infra/bootstrap", variables))
    project = Path(shutil.copytree(rendered, folder / "project"))
    program = terraform.install(folder / "bin")
    with (
        running_double(python, folder / "azure", landing_zone=content) as azure,
        running_proxy(azure.url) as proxy,
        running_github(folder) as github,
    ):
        github.tokens[APPROVED_RUN] = Token("infra", {"actions": "read"})
        github.environments["production-infra"] = Environment(("carol",))
        review = {"state": "approved", "user": {"login": "carol"}, "environments": [{"name": "production-infra"}]}
        github.approvals[APPROVED_RUN] = [review]
        path = os.pathsep.join([str(folder / "bin"), azure.environment["PATH"]])
        clients = {one["name"]: one["client"] for one in content["principals"]}
        yield Site(project, python, azure, terraform, {**program, **proxy, "PATH": path}, clients, github)


@contextmanager
def changed(site: Site, *environments: str) -> Iterator[None]:
    """Let somebody have changed the tags of environments' workspaces in the portal, until the block ends."""
    with site.terraform.drift(*map(workspace, environments), tags={"owner": "somebody"}):
        yield


def workspace(environment: str) -> str:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{PREFIX}-{environment}"
    return f"{group}/providers/Microsoft.MachineLearningServices/workspaces/mlw-{PREFIX}-{environment}"
