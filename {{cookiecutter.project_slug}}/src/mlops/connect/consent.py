"""Ask a person once."""

from __future__ import annotations

import os
import sys
from typing import Final

from mlops.errors import ConfigError

VARIABLE: Final = "MLOPS_CONNECT_YES"


def agrees(question: str, given: bool) -> bool:
    """Return whether a person, an option or the environment agrees.

    Raises
    ------
    ConfigError
        There is no terminal to ask at.
    """
    if given or os.environ.get(VARIABLE) == "1":
        return True
    if not sys.stdin.isatty():
        raise ConfigError(
            "There is no terminal to ask at. Nothing was done.",
            f"Agree with --yes, or with {VARIABLE}=1.",
        )
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
