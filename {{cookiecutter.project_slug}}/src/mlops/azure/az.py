"""Run the Azure CLI, for what Azure ML's SDK cannot do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from mlops.azure.workspace import make_error
from mlops.errors import ConfigError

NOT_FOUND = re.compile(r"ResourceNotFound|ResourceGroupNotFound|was not found")


def az(what: str, *arguments: str, folder: Path | None = None) -> str:
    """Run ``az`` and return its output.

    Parameters
    ----------
    what : str
        Completes "Could not ...".
    folder : Path, optional
        The working directory.

    Raises
    ------
    ConfigError
        The Azure CLI is not installed.
    AzureError
        ``az`` failed.
    """
    done = _run(arguments, folder)
    if done.returncode:
        raise make_error(what, *_reason(done.stderr))
    return done.stdout


def az_find(what: str, *arguments: str) -> Any:
    """Return the resource that ``az`` shows, from its JSON; None if it does not exist."""
    done = _run(arguments, None)
    if done.returncode and NOT_FOUND.search(done.stderr):
        return None
    if done.returncode:
        raise make_error(what, *_reason(done.stderr))
    return json.loads(done.stdout)


def _run(arguments: tuple[str, ...], folder: Path | None) -> subprocess.CompletedProcess[str]:
    program = shutil.which("az")
    if program is None:
        raise ConfigError(
            "The Azure CLI, az, is not installed.",
            "Install it (learn.microsoft.com/cli/azure/install-azure-cli) and log in: az login",
        )
    return subprocess.run(  # noqa: S603 -- the arguments are ours
        [program, *arguments, "--only-show-errors"],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _reason(text: str) -> tuple[str, str]:
    """Return Azure's code and message from the output of ``az``: `ERROR: (Code) Message`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    error = next((x for x in lines if x.startswith("ERROR:")), (lines or ["no reason given"])[-1])
    message = error.removeprefix("ERROR:").strip()
    code = re.match(r"\((\w+)\)", message)
    statuses = {"TooManyRequests": "429 ", "Conflict": "409 ", "ExpiredAuthenticationToken": "401 "}
    kind = code[1] if code else "az"
    if "az login" in text:
        kind = "401 ClientAuthentication"
    return statuses.get(kind, "") + kind, message[:500]
