"""The note of a release under way: short, and read by its writer, its machine and others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from mlops.errors import ReleaseError
from mlops.release.pending import SILENCE_SECONDS, read_note, write_note
from mlops.release.target import PendingRelease

RELEASE = PendingRelease(12345, "green", {"blue": 90, "green": 10}, withdraws=12344)
MINE = [*json.loads(write_note(RELEASE))["by"]]


def note(**changes: Any) -> str:
    """A note as another process would have left it."""
    return json.dumps({**json.loads(write_note(RELEASE)), **changes})


def test_a_note_fits_into_a_tag_and_comes_back() -> None:
    text = write_note(RELEASE)
    assert len(text) <= 256
    assert read_note(text, changing=True) == RELEASE


def test_a_process_of_this_machine_is_under_way_as_long_as_it_lives() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        signed = [MINE[0], other.pid, int(time.time())]
        with pytest.raises(ReleaseError, match=f"Another release .process {other.pid} on"):
            read_note(note(by=signed), changing=False)
        other.kill()
    assert read_note(note(by=signed), changing=True) == RELEASE


def test_a_process_of_the_same_number_but_another_time_is_not_the_one() -> None:
    signed = [MINE[0], os.getppid(), 1]
    assert read_note(note(by=signed), changing=False) == RELEASE


def test_another_machine_is_under_way_until_it_has_been_silent() -> None:
    signed = ["elsewhere", 1, 1]
    long_ago = int(time.time()) - SILENCE_SECONDS - 1
    with pytest.raises(ReleaseError, match="is under way") as refused:
        read_note(note(by=signed), changing=False)
    assert "5 minutes" in refused.value.fix
    assert read_note(note(by=signed, at=long_ago), changing=False) == RELEASE
    with pytest.raises(ReleaseError, match="is under way"):  # it waits for what it began
        read_note(note(by=signed, at=long_ago), changing=True)
