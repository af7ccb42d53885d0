"""Check this machine: Python, its packages, and the programs on the PATH."""

from __future__ import annotations

import platform
import re
import tomllib
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from mlops.connect.programs import INSTALL, run
from mlops.connect.settings import Settings
from mlops.connect.steps import Unseen
from mlops.errors import ConfigError
from mlops.readiness.checks import Check, Checks

AREA: Final = "This machine"
# `az --version` and `terraform version` would also ask for updates.
VERSIONS: Final = {"az": ("version", "--output", "json")}
SHOWN: Final = 3
HERE: Final = Checks(AREA)


def check(settings: Settings) -> Iterator[Check]:
    """Yield what this machine has, and lacks."""
    yield _python(settings.root)
    yield _packages(settings.root)
    names = ("git", *(["gh"] if settings.platform == "github" else []), "az", "terraform")
    for name in names:
        yield from HERE.look(name, "AZ102", partial(_program, settings, name))


def _python(root: Path) -> Check:
    content = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    wanted, version = content["project"]["requires-python"], platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return HERE.good("Python", "AZ100", version)
    fix = "Make another environment (README.md), with a Python that fits."
    return HERE.bad("Python", "AZ100", f"{version} is not {wanted}", fix)


def _packages(root: Path) -> Check:
    """Compare what is installed with the versions in requirements.txt."""
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line.rstrip("\\ ")) for line in lines if re.match(r"[\w.\[\]-]+==", line)]
    wanted = [one for one in pinned if one.marker is None or one.marker.evaluate()]
    installed = {
        canonicalize_name(one.name): one.version
        for one in reversed(list(metadata.distributions()))  # the first on the path counts
    }
    texts = []
    for one in wanted:
        version = installed.get(canonicalize_name(one.name))
        if version is None or not one.specifier.contains(version, prereleases=True):
            texts.append(f"{one.name} {version or 'is missing'}, not {str(one.specifier)[2:]}")
    if not texts:
        return HERE.good(f"{len(wanted)} packages", "AZ101", "as in requirements.txt")
    more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    fix = "python -m pip install --requirement requirements.txt"
    return HERE.bad("Packages", "AZ101", "; ".join(texts[:SHOWN]) + more, fix)


def _program(settings: Settings, name: str) -> list[Check]:
    """Find a program, and compare its version with what the project asks for.

    Raises
    ------
    Unseen
        It does not tell its version.
    """
    done = run(name, *VERSIONS.get(name, ("--version",)), variables={"CHECKPOINT_DISABLE": "1"})
    found = re.search(r"\d+\.\d+\.\d+", done.output)
    if found is None:
        raise Unseen(f"{name} does not tell its version: {done.reason}", INSTALL[name])
    file = settings.root / "infra" / "versions.tf"
    text = file.read_text(encoding="utf-8") if name == "terraform" and file.is_file() else ""
    wanted = re.search(r'required_version = "([^"]+)"', text)
    if wanted and not SpecifierSet(wanted[1]).contains(found[0]):
        raise ConfigError(f"{found[0]} is not {wanted[1]}", INSTALL[name])
    return [HERE.good(name, "AZ102", found[0])]
