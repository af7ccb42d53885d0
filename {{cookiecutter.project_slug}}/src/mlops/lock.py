"""Let one command at a time change a project's results, or what an environment serves."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from mlops.errors import Busy
from mlops.outputs import write_json

FOLDER: Final = ".mlops"
MOST_RUNS: Final = 50
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


def run_id() -> str:
    """Return a random id of this process, by which other machines tell it from theirs."""
    return _make_id(os.getpid())


def has_ended(root: Path, part: str, run: str) -> bool:
    """Return whether a command that held a part's lock in this project is known to have ended."""
    folder = root / FOLDER
    runs = _runs(folder / f"{part}.holder")
    if run not in runs:
        return False
    if run != runs[-1]:  # another command has held the lock since
        return True
    try:
        with file_lock(folder, part).acquire(timeout=0):
            return True
    except Timeout:
        return False


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
        since, runs = time.strftime("%H:%M:%S"), [*_runs(holder), run_id()]
        now = {
            "command": command,
            "process": os.getpid(),
            "since": since,
            "runs": runs[-MOST_RUNS:],
        }
        write_json(holder, now)
        yield
    finally:
        lock.release()


@functools.cache
def _make_id(process: int) -> str:
    return secrets.token_hex(8)


def _runs(holder: Path) -> list[str]:
    """Return the ids of the commands that held a lock, the newest last."""
    try:
        return [str(run) for run in json.loads(holder.read_text("utf-8"))["runs"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _describe(holder: Path) -> str:
    """Say which command holds a lock."""
    try:
        kept = json.loads(holder.read_text("utf-8"))
        return f"`{kept['command']}` (process {kept['process']}, since {kept['since']})"
    except (OSError, ValueError, KeyError):  # it has only just begun
        return "another command"
