"""The note of a pending release, short enough for a tag on Azure (256 characters)."""

from __future__ import annotations

import json
import os
import socket
import time

import psutil

from mlops.errors import ReleaseError
from mlops.release.target import PendingRelease

# A release gives a sign of life at every change that it makes; between two of them, it checks.
SILENCE_SECONDS = 300


def write_note(release: PendingRelease) -> str:
    """The note, signed by this process and dated now."""
    process = psutil.Process()
    content = {
        "version": release.version,
        "slot": release.slot,
        "before": dict(release.before),
        "withdraws": release.withdraws,
        "by": [_host(), process.pid, int(process.create_time())],
        "at": int(time.time()),
    }
    return json.dumps(content, separators=(",", ":"))


def read_note(text: str, changing: bool) -> PendingRelease:
    """What a note tells of.

    Parameters
    ----------
    changing : bool
        Whether something is being changed at the endpoint at this moment.

    Raises
    ------
    ReleaseError
        The release that wrote it is still under way, as far as can be known from here.
    """
    content = json.loads(text)
    host, pid, created = content.pop("by")
    silent = time.time() - content.pop("at")
    if host == _host():
        alive = pid != os.getpid() and _is_running(pid, created)
    else:
        alive = changing or silent < SILENCE_SECONDS
    if alive:
        raise ReleaseError(
            f"Another release (process {pid} on {host}) is under way.",
            "Wait until it has ended. If it was killed, run the same command again in "
            f"{SILENCE_SECONDS // 60} minutes.",
        )
    return PendingRelease(**content)


def _host() -> str:
    return socket.gethostname()[:63]


def _is_running(pid: int, created: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - created) < 2
    except psutil.NoSuchProcess:
        return False
