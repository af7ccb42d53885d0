"""The note of a pending release: short, and no release is taken for another's, or for ended while it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlops.errors import ReleaseError
from mlops.lock import hold
from mlops.release.pending import SILENCE_SECONDS, read_note, write_note
from mlops.release.target import PendingRelease

RELEASE = PendingRelease(12345, "green", {"blue": 90, "green": 10}, withdraws=12344)
# Holds production's lock, prints the id of its run, and waits.
RELEASING = """
import sys
from pathlib import Path
from mlops import lock
with lock.hold(Path(sys.argv[1]), ["production"], "mlops release", False, print):
    print(lock.run_id(), flush=True)
    input()
"""


def note(by: str, age: float = 0) -> str:
    """Return a note of another run, written some seconds ago."""
    return json.dumps({**json.loads(write_note(RELEASE)), "by": by, "at": int(time.time() - age)})


def read(root: Path, text: str, **more: Any) -> PendingRelease | None:
    return read_note(text, root, "production", **more)


@contextmanager
def releasing(root: Path) -> Iterator[str]:
    """Run another command that holds production's lock, killed in the end; yield its run's id."""
    with subprocess.Popen(
        [sys.executable, "-c", RELEASING, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def test_a_note_fits_into_a_tag_and_is_read_back(tmp_path: Path) -> None:
    text = write_note(RELEASE)
    assert len(text) <= 256
    assert read(tmp_path, text, changing=True) == RELEASE


@pytest.mark.parametrize("empty", [None, ""])
def test_no_note_is_no_release(empty: str | None, tmp_path: Path) -> None:
    assert read_note(empty, tmp_path, "production", changing=True) is None


def test_a_release_of_this_project_runs_as_long_as_it_holds_the_lock(tmp_path: Path) -> None:
    with releasing(tmp_path) as run, pytest.raises(ReleaseError, match="Another release is running"):
        read(tmp_path, note(run))
    assert read(tmp_path, note(run), changing=True) == RELEASE
    with releasing(tmp_path) as later:
        assert read(tmp_path, note(run), changing=True) == RELEASE
        with pytest.raises(ReleaseError, match="is running"):
            read(tmp_path, note(later))
    with hold(tmp_path, ["production"], "mlops rollback", False, print):
        assert read(tmp_path, note(run), changing=True) == RELEASE
        assert read(tmp_path, note(later), changing=True) == RELEASE


def test_runners_with_one_host_name_do_not_take_each_other_for_dead(tmp_path: Path) -> None:
    """Two checkouts: neither knows the other's runs, so only silence tells that one has ended."""
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        root.mkdir()
    with releasing(one) as run:
        pass
    for again in (False, True):
        with hold(other, ["production"], "mlops deploy production", False, print):
            with pytest.raises(ReleaseError, match=r"last changed the endpoint \d s ago") as refused:
                read(other, note(run, age=7), changing=again)
            assert "5 minutes" in refused.value.fix
    assert read(other, note(run, age=SILENCE_SECONDS + 1)) == RELEASE
    with pytest.raises(ReleaseError, match="is running"):  # an operation on Azure may take longer
        read(other, note(run, age=SILENCE_SECONDS + 1), changing=True)


def test_another_environments_lock_proves_nothing(tmp_path: Path) -> None:
    with releasing(tmp_path) as run:
        pass
    with pytest.raises(ReleaseError, match="is running"):
        read_note(note(run), tmp_path, "staging")
