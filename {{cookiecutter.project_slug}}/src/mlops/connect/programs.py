"""Run the programs that connect needs, and say how to install or log in to them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops.errors import ConfigError, MlopsError, safe

INSTALL: Final = {
    "git": "Install git (git-scm.com).",
    "gh": "Install GitHub's command line, gh (cli.github.com), then run `gh auth login`.",
    "az": "Install the Azure CLI (learn.microsoft.com/cli/azure), then run `az login`.",
    "terraform": "Install Terraform 1.9 or newer (developer.hashicorp.com/terraform/install).",
}
WIDEST: Final = 120
# No program may ask: its question would be invisible.
SILENT: Final = {
    "GH_NO_UPDATE_NOTIFIER": "1",
    "GH_PROMPT_DISABLED": "1",
    "GH_TELEMETRY": "false",
    "GIT_TERMINAL_PROMPT": "0",
    "TF_IN_AUTOMATION": "1",
}


@dataclass(frozen=True)
class Done:
    """How a program ended, and what it printed."""

    code: int
    output: str
    errors: str

    @property
    def reason(self) -> str:
        """Return why it failed: its last line that says something."""
        lines = [line.strip() for line in (self.errors or self.output).splitlines()]
        return safe(next((line for line in reversed(lines) if line), f"exit code {self.code}"))


def find(name: str) -> str:
    """Return the path of a program.

    Raises
    ------
    ConfigError
        It is not on the PATH.
    """
    program = shutil.which(name)
    if program is None:
        raise ConfigError(f"{name} is not on the PATH.", INSTALL[name])
    return program


def run(
    name: str,
    *words: str,
    folder: Path | None = None,
    given: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Done:
    """Run a program to its end.

    Parameters
    ----------
    given : str, optional
        Its standard input. Secrets go there: other users can see arguments.
    variables : mapping of str to str, optional
        Additions to this process's environment.

    Raises
    ------
    ConfigError
        It is not on the PATH.
    """
    done = subprocess.run(
        [find(name), *words],
        cwd=folder,
        env={**os.environ, **SILENT, **(variables or {})},
        input=given or "",
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def follow(name: str, *words: str, folder: Path, variables: Mapping[str, str], shown: str) -> Done:
    """Run a long program while the lines of its output that match a pattern are shown."""
    lines = []
    with subprocess.Popen(
        [find(name), *words],
        cwd=folder,
        env={**os.environ, **SILENT, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if re.search(shown, line):
                print(f"    {safe(line.rstrip())[:WIDEST]}", flush=True)
    return Done(process.returncode, "", "".join(lines))


def must(done: Done, what: str, fix: str) -> str:
    """Return what a program printed.

    Raises
    ------
    MlopsError
        It failed.
    """
    if done.code:
        raise MlopsError(f"{what}: {done.reason}", fix)
    return done.output
