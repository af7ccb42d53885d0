"""Wait for something that only a look can tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

Result = TypeVar("Result")

SHORTEST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0


def wait_until(
    done: Callable[[Result], bool], look: Callable[[], Result], seconds: float
) -> Result:
    """Call ``look`` until its result is ``done`` or the time is over; return the last result.

    A pause is a tenth of the time waited so far.
    """
    start = time.monotonic()
    while True:
        result = look()
        waited = time.monotonic() - start
        if done(result) or waited >= seconds:
            return result
        time.sleep(min(max(waited / 10, SHORTEST_PAUSE), LONGEST_PAUSE))
