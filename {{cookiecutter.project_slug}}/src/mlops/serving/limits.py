"""The limits of a request, which the scoring script and the local router share."""

from __future__ import annotations

from typing import Final

MAX_BODY: Final = 16 * 2**20  # bytes
