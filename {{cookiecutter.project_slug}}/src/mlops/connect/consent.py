"""Ask a person once."""

from __future__ import annotations

import sys

from mlops.errors import ConfigError


def agrees(question: str, given: bool) -> bool:
    """Return whether a person agrees, now or by an option.

    Raises
    ------
    ConfigError
        There is no terminal to ask at.
    """
    if given:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(
            "There is no terminal to ask at. Nothing was done.",
            "Agree with --yes.",
        )
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
