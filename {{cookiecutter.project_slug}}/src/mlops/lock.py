"""Let one command at a time change a project's results, or what an environment serves."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from mlops.errors import Busy
from mlops.outputs import write_json

FOLDER: Final = ".mlops"
LOOK_SECONDS: Final = 1.0


@contextlib.contextmanager
def hold(
    root: Path, parts: Sequence[str], command: str, wait: bool, tell: Callable[[str], None]
) -> Iterator[None]:
    """Hold the locks of some parts of a project; a process that is killed releases them.

    Parameters
    ----------
    parts : sequence of str
        What the command changes: "run" (outputs/), "staging", "production".
    command : str
        What those who wait are told.
    wait : bool
        Whether to wait for a command that holds a lock.

    Raises
    ------
    Busy
        Another command holds a lock, and ``wait`` is false.
    """
    with contextlib.ExitStack() as stack:
        for part in sorted(parts):  # in one order, so that no two commands wait for each other
            stack.enter_context(_hold(root / FOLDER, part, command, wait, tell))
        yield


def file_lock(folder: Path, part: str) -> FileLock:
    """Return the lock of a part, in a folder that is made for it."""
    folder.mkdir(exist_ok=True)
    return FileLock(folder / f"{part}.lock")


@contextlib.contextmanager
def _hold(
    folder: Path, part: str, command: str, wait: bool, tell: Callable[[str], None]
) -> Iterator[None]:
    holder = folder / f"{part}.holder"
    lock, told = file_lock(folder, part), ""
    while True:
        try:
            lock.acquire(timeout=LOOK_SECONDS if told else 0)
            break
        except Timeout:
            who = _describe(holder)
            if not wait:
                raise Busy(f"{who} is running.", "Wait until it has ended.") from None
            if who != told:
                tell(f"Waiting until {who} has ended.")
            told = who
    try:
        since = time.strftime("%H:%M:%S")
        write_json(holder, {"command": command, "process": os.getpid(), "since": since})
        yield
    finally:
        lock.release()


def _describe(holder: Path) -> str:
    """Say which command holds a lock."""
    try:
        kept = json.loads(holder.read_text("utf-8"))
        return f"`{kept['command']}` (process {kept['process']}, since {kept['since']})"
    except (OSError, ValueError, KeyError):  # it has only just begun
        return "another command"
