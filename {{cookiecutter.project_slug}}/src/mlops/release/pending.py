"""Write and read the note of a pending release, which fits into an Azure tag (256 characters)."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from mlops.config import Environment
from mlops.errors import ReleaseError
from mlops.lock import has_ended, run_id
from mlops.release.target import PendingRelease

# A running release writes its note again at every change; between two changes it only checks.
SILENCE_SECONDS: Final = 300


class OtherRelease(ReleaseError):
    """Another release is changing the endpoint, or was killed a short time ago."""


def write_note(release: PendingRelease) -> str:
    """Return the note of a release by this process."""
    signed = {**asdict(release), "by": run_id(), "at": int(time.time())}
    return json.dumps(signed, separators=(",", ":"))


def read_note(
    note: str | None, root: Path, environment: Environment, changing: bool = False
) -> PendingRelease | None:
    """Return the interrupted release that a note describes.

    Parameters
    ----------
    root : Path
        The project, which knows its own runs; host names do not tell them apart, since hosted
        runners have the same one.
    changing : bool
        Whether an operation on the endpoint is running now.

    Raises
    ------
    OtherRelease
        The release is, or may be, still running.
    """
    if not note:
        return None
    content = json.loads(note)
    by, silent = content.pop("by"), time.time() - content.pop("at")
    recent = changing or silent < SILENCE_SECONDS
    if by != run_id() and recent and not has_ended(root, environment, by):
        raise OtherRelease(
            f"Another release is running: it last changed the endpoint {max(silent, 0):.0f} s ago.",
            "Wait until it has ended. If it was killed, run the same command again in "
            f"{SILENCE_SECONDS // 60} minutes.",
        )
    return PendingRelease(**content)
