"""Write and read the note of a pending release, which fits into an Azure tag (256 characters)."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict
from typing import Final

import psutil

from mlops.errors import ReleaseError
from mlops.release.target import PendingRelease

# A running release rewrites its note at every change; between two changes it only checks.
SILENCE_SECONDS: Final = 300


def write_note(release: PendingRelease) -> str:
    """Return the note of a release by this process."""
    process = psutil.Process()
    signature = {
        "by": [_host(), process.pid, int(process.create_time())],
        "at": int(time.time()),
    }
    return json.dumps({**asdict(release), **signature}, separators=(",", ":"))


def read_note(note: str | None, changing: bool = False) -> PendingRelease | None:
    """Return the interrupted release that a note describes.

    Parameters
    ----------
    changing : bool
        Whether an operation on the endpoint is running now.

    Raises
    ------
    ReleaseError
        The release is, or may be, still running.
    """
    if not note:
        return None
    content = json.loads(note)
    host, pid, created = content.pop("by")
    silent = time.time() - content.pop("at")
    if host == _host():
        running, fix = pid != os.getpid() and _is_running(pid, created), ""
    else:
        running = changing or silent < SILENCE_SECONDS
        fix = f" If it was killed, run the same command again in {SILENCE_SECONDS // 60} minutes."
    if running:
        message = f"Another release (process {pid} on {host}) is running."
        raise ReleaseError(message, f"Wait until it has ended.{fix}")
    return PendingRelease(**content)


def _host() -> str:
    return socket.gethostname()[:63]


def _is_running(pid: int, created: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - created) < 2
    except psutil.NoSuchProcess:
        return False
