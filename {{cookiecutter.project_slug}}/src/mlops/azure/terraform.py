"""Run the real Terraform in infra/, as whoever runs `mlops`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlops.azure.credential import terraform_login
from mlops.config import Environment, Project
from mlops.errors import AzureError, ConfigError

Tell = Callable[[str], None]

CHANGES: Final = 2  # the exit code of `plan -detailed-exitcode`
# What Terraform finds before it changes anything.
UNTOUCHED: Final = (
    r"Saved plan is stale|Saved plan does not match|Inconsistent dependency lock file|"
    r"Error acquiring the state lock|state blob is already locked"
)
# Patterns of Terraform's output, and the fix; the first match counts.
FIXES: Final = (
    (
        r"Saved plan is stale|Saved plan does not match|Inconsistent dependency lock file",
        "Infrastructure or providers have changed since the plan was made. Make a new plan, and "
        "have it approved.",
    ),
    (
        r"AADSTS\d+|unable to build authorizer",
        "Log in with `az login`; in CI, check the variables AZURE_* of the job's environment and "
        "the identity's federated credential (docs/infrastructure.md, Let the workflows log in).",
    ),
    (
        r"no such host|ContainerNotFound|AuthorizationPermissionMismatch",
        "Apply infra/bootstrap/ for this environment (docs/infrastructure.md): it creates the "
        "storage account of the state and the roles on it, which take up to ten minutes to take "
        "effect. The first apply of infra/ is a person's: an identity that only plans cannot "
        "create the state.",
    ),
    (
        r"AuthorizationFailure\b",
        "The account's network rules refuse this machine. Run it on a runner in the environment's "
        "network, or pass your address to infra/bootstrap/ (docs/infrastructure.md, Reach a "
        "private environment).",
    ),
    (
        r"the state lock|state blob is already locked",
        "Wait until the other run has ended, then run the same command again. If a run left the "
        "lock behind: `terraform -chdir=infra force-unlock ID`, with the ID that Terraform shows.",
    ),
)


@dataclass(frozen=True)
class Terraform:
    """Terraform in a project's infra/ for one environment.

    Attributes
    ----------
    tell :
        Receives what Terraform prints, line by line.
    """

    folder: Path
    environment: Environment
    program: str
    variables: dict[str, str]
    tell: Tell

    def init(self, account: str) -> None:
        """Connect infra/ to the environment's state, in a storage account."""
        backend = f"-backend-config=storage_account_name={account}"
        self._run("connect to the state of", "init", "-reconfigure", backend)

    def plan(self, file: Path) -> bool:
        """Write a plan to a file, and return whether it has changes.

        It takes no lock: an identity that only plans may not write the state, and a plan is
        refused if the state has changed since.
        """
        settings = f"{self.environment}.tfvars"
        given = [f"-var-file={settings}"] if (self.folder / settings).is_file() else []
        words = ("-detailed-exitcode", "-lock=false", f"-var=environment={self.environment}")
        return self._run("plan", "plan", *words, *given, f"-out={file}") == CHANGES

    def apply(self, file: Path) -> None:
        """Apply a plan from a file."""
        self._run("apply", "apply", str(file))

    def text(self, file: Path) -> str:
        """Return a plan for people; Terraform hides sensitive values."""
        return self._read("show", "-no-color", str(file))

    def content(self, file: Path) -> dict[str, Any]:
        """Return a plan as Terraform's JSON, which contains sensitive values."""
        content: dict[str, Any] = json.loads(self._read("show", "-json", str(file)))
        return content

    def _run(self, what: str, command: str, *words: str) -> int:
        """Run a command while its output is shown; return 0, or 2 if a plan has changes."""
        lines: list[str] = []
        with subprocess.Popen(  # noqa: S603 -- the program on the PATH, without a shell
            [self.program, command, "-input=false", "-no-color", *words],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a second interruption would leave the state locked
        ) as process:
            try:
                self._show(process, lines)
            except KeyboardInterrupt:
                process.terminate()  # Terraform ends what it does, and releases the state
                self._show(process, lines)
                raise
        code = process.returncode
        if code == 0 or (command == "plan" and code == CHANGES):
            return code
        raise self._error(f"Terraform could not {what} {self.environment}", "".join(lines))

    def _show(self, process: subprocess.Popen[str], lines: list[str]) -> None:
        """Show each line of a process's output until its end, and collect it."""
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            self.tell(line.rstrip("\n"))

    def _read(self, *words: str) -> str:
        """Return what a command prints."""
        done = subprocess.run(  # noqa: S603 -- as above
            [self.program, *words],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            raise self._error("Terraform could not read the plan", done.stderr + done.stdout)
        return done.stdout

    def _error(self, message: str, output: str) -> AzureError:
        found = re.search(r"Error: (.*)", output)
        reason = found[1].strip()[:300] if found else "its output above has the reason"
        text = " ".join(output.split())  # Terraform wraps its lines
        kept = " Nothing was applied." if re.search(UNTOUCHED, text) else ""
        fixes = [fix for pattern, fix in FIXES if re.search(pattern, text)]
        return AzureError(
            f"{message}: {reason.rstrip('.')}.{kept}",
            fixes[0] if fixes else "Fix the error that Terraform shows, then make a new plan.",
        )


def find_terraform(project: Project, environment: Environment, tell: Tell) -> Terraform:
    """Return Terraform for an environment.

    Raises
    ------
    ConfigError
        There is no `terraform` on the PATH, AZURE_SUBSCRIPTION_ID is not set, or a CI job does not
        say which identity it has.
    """
    program = shutil.which("terraform")
    if program is None:
        raise ConfigError(
            "terraform is not on the PATH.",
            "Install Terraform 1.9 or newer (developer.hashicorp.com/terraform/install).",
        )
    variables = {**terraform_login(os.environ), "TF_IN_AUTOMATION": "1"}
    return Terraform(project.root / "infra", environment, program, variables, tell)
