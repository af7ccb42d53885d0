"""The note of a pending release: short, and readable here and on other machines."""

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
    """Return a note with other values in some fields."""
    return json.dumps({**json.loads(write_note(RELEASE)), **changes})


def test_a_note_fits_into_a_tag_and_is_read_back() -> None:
    text = write_note(RELEASE)
    assert len(text) <= 256
    assert read_note(text, changing=True) == RELEASE


@pytest.mark.parametrize("empty", [None, ""])
def test_no_note_is_no_release(empty: str | None) -> None:
    assert read_note(empty, changing=True) is None


def test_a_release_on_this_machine_runs_as_long_as_its_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        signed = [MINE[0], other.pid, int(time.time())]
        with pytest.raises(ReleaseError, match=f"Another release .process {other.pid} on") as refused:
            read_note(note(by=signed))
        assert "killed" not in refused.value.fix
        other.kill()
    assert read_note(note(by=signed), changing=True) == RELEASE


def test_a_reused_process_id_is_not_the_same_process() -> None:
    signed = [MINE[0], os.getppid(), 1]
    assert read_note(note(by=signed)) == RELEASE


def test_a_release_on_another_machine_has_ended_after_five_silent_minutes() -> None:
    signed = ["elsewhere", 1, 1]
    long_ago = int(time.time()) - SILENCE_SECONDS - 1
    with pytest.raises(ReleaseError, match="is running") as refused:
        read_note(note(by=signed))
    assert "5 minutes" in refused.value.fix
    assert read_note(note(by=signed, at=long_ago)) == RELEASE
    with pytest.raises(ReleaseError, match="is running"):  # an operation on Azure may take longer
        read_note(note(by=signed, at=long_ago), changing=True)
