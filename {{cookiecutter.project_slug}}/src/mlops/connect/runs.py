"""Follow a run on a CI platform until it has ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from mlops.errors import MlopsError
from mlops.waiting import wait_until

Run = TypeVar("Run")


def follow(look: Callable[[], Run], state: Callable[[Run], str]) -> Run:
    """Tell each new state of a run until it has ended; return it as it is then.

    Parameters
    ----------
    look :
        Reads the run.
    state :
        Returns what it does, in words, or "" once it has ended.
    """
    told = ""

    def has_ended(run: Run) -> bool:
        nonlocal told
        text = state(run)
        if text not in ("", told):
            print(f"    {text}", flush=True)
            told = text
        return not text

    return wait_until(has_ended, look, math.inf)


def failure(name: str, result: str, url: str) -> MlopsError:
    """Return the error about a run that did not succeed."""
    return MlopsError(
        f"{name} ended with {result}: {url}",
        "Read its log, fix the cause, and run connect again: it starts another run.",
    )
