"""Take back what connect created, by its record."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final

from mlops.connect.consent import agrees
from mlops.connect.platforms import platform_of
from mlops.connect.programs import run
from mlops.connect.settings import read_settings
from mlops.connect.steps import Platform, Record, Undo
from mlops.errors import MlopsError

KEPT: Final = """Kept: the repository, its history and its runs; the resources on Azure, which hold
models and states: docs/infrastructure.md (What is protected) says how to remove them."""


def main(arguments: list[str], root: Path) -> int:
    """Show what connect created, and remove it on consent; return the exit code."""
    parser = argparse.ArgumentParser(
        "mlops disconnect", description="Remove what `mlops connect` created, by its record."
    )
    parser.add_argument("--dry-run", action="store_true", help="only list it")
    parser.add_argument("--yes", action="store_true", help="remove it without asking")
    given = parser.parse_args(arguments)
    record = Record(root)
    platform = platform_of(read_settings(root), record)
    undos = list(reversed(record.read()))
    if not undos:
        print("mlops connect created nothing from this folder, or it was removed.")
        return 0
    for undo in undos:
        verb = "remove" if undo.method == "DELETE" else "put back"
        print(f"  {verb} {undo.text}")
    print(KEPT)
    if given.dry_run or not agrees(f"Remove {len(undos)}?", given.yes):
        return 0
    left = list(undos)
    for undo in undos:
        try:
            _take_back(undo, platform)
        except MlopsError as error:
            print(f"  {undo.text} is still there: {error}")
        else:
            left.remove(undo)
            record.write(reversed(left))
    if left:
        raise MlopsError(
            f"{len(left)} of {len(undos)} were not removed.", "Fix it, and run it again."
        )
    print("Removed.")
    return 0


def _take_back(undo: Undo, platform: Platform) -> None:
    """Do what takes back one creation.

    Raises
    ------
    MlopsError
        It was refused.
    """
    if undo.service != "azure":
        platform.take_back(undo)
        return
    url = f"https://management.azure.com{undo.path}"
    done = run("az", "rest", "--method", undo.method.lower(), "--url", url)
    if done.code and not re.search("NotFound|Not Found", done.errors):
        raise MlopsError(done.reason)
