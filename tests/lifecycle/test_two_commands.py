"""Commands at the same time: one waits for the other, and nothing of either is lost."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytest
from conftest import EXAMPLES, Toy, make_toy
from mlops.config import load_project
from mlops.release.local import LocalTarget

WAITS_FOR = re.compile(r"Waiting until `mlops (\w+)` \(process \d+, since \d\d:\d\d:\d\d\) has ended\.")


def finish(process: Any, output: TextIO, code: int | None = 0) -> str:
    said = output.read()
    process.join()
    assert "Traceback" not in said
    if code is not None:
        assert process.exitcode == code, said
    return said


def wait_for_lock(toy: Toy, part: str, process: Any) -> None:
    """Wait until a process holds a lock; the last holder's name stays after it has ended."""
    holder = toy.root / ".mlops" / f"{part}.holder"
    until = time.monotonic() + 60
    while not holder.exists() or json.loads(holder.read_text("utf-8"))["process"] != process.pid:
        assert time.monotonic() < until
        assert process.is_alive()
        time.sleep(0.01)


@pytest.mark.parametrize("store", ["empty", "none"])
def test_a_second_run_waits_and_finds_the_firsts_model(toy: Toy, store: str) -> None:
    if store == "none":
        (toy.root / "mlflow.db").unlink()
    with toy.running("run") as first:
        wait_for_lock(toy, "run", first[0])
        with toy.running("run") as second:
            said = finish(*second)
            finish(*first)
    found = WAITS_FOR.search(said)
    assert found
    assert found[1] == "run"
    assert "Nothing has changed" in said
    assert said.strip().endswith("registered=1")
    assert toy.stages() == {1: "registered"}


def test_two_first_commands_make_one_store(toy: Toy) -> None:
    """Commands that do not wait for each other, since they change different things."""
    (toy.root / "mlflow.db").unlink()
    with toy.running("run") as run, toy.running("status") as status, toy.running("history") as history:
        for command in (status, history, run):
            finish(*command)
    assert toy.stages() == {1: "registered"}
    assert not list(toy.root.glob("mlflow.db.*"))


def test_no_wait_ends_at_once_and_says_for_whom(toy: Toy) -> None:
    with toy.running("run") as first:
        wait_for_lock(toy, "run", first[0])
        for verb in ("validate", "train", "evaluate", "register", "report", "run"):
            said = toy.mlops(verb, "--no-wait", code=1).output
            assert re.search(r"Error: `mlops run` \(process \d+, since [\d:]+\) is running\.\nFix: Wait", said)
        toy.mlops("status")
        finish(*first)


def test_a_killed_command_releases_its_lock(toy: Toy) -> None:
    with toy.running("run") as (process, _):
        wait_for_lock(toy, "run", process)
        process.kill()
        process.join()
    assert "Waiting" not in toy.mlops("run", "--no-wait").output


def test_two_deployments_follow_each_other(toy: Toy) -> None:
    toy.mlops("run")
    toy.model("Columns", width=2)
    toy.mlops("run")
    toy.mlops("deploy", "staging", "--version", "1")
    with toy.running("deploy", "staging", "--version", "2") as first:
        wait_for_lock(toy, "staging", first[0])
        with toy.running("deploy", "staging", "--version", "1") as second, toy.running("stop", "production") as other:
            assert "Waiting" not in finish(*other)
            finish(*first)
            assert WAITS_FOR.search(finish(*second))
    assert served(toy, "staging") == 1


COMMANDS = (
    ("run",),
    ("run", "--replace-champion", "as we test"),
    ("deploy", "staging"),
    ("deploy", "production", "--yes"),
    ("release", "--yes"),
    ("rollback",),
    ("stop", "staging"),
)


@pytest.mark.parametrize("number", range(max(3, EXAMPLES // 10)))
def test_whatever_runs_beside_what_registry_servers_and_words_agree(serving: Toy, number: int) -> None:
    """Two commands at a time, one of which may be killed at any moment."""
    rng = np.random.default_rng(number)
    serving.model("Columns", width=int(rng.integers(1, 4)))
    pair = [COMMANDS[place] for place in rng.integers(len(COMMANDS), size=2)]
    with serving.running(*pair[0]) as first:
        time.sleep(rng.uniform(0, 4))
        with serving.running(*pair[1]) as second:
            killed = rng.random() < 0.4
            if killed:
                time.sleep(rng.uniform(0, 4))
                (first, second)[rng.integers(2)][0].kill()
            said = [finish(*command, code=None) for command in (first, second)]
    for words, (process, _) in zip(said, (first, second), strict=True):
        assert process.exitcode in (-9, 0, 1, 2, 3), words
        assert (process.exitcode in (-9, 0, 3)) or "Error: " in words, words
        if process.exitcode == 0 and "registered=" in words:
            assert int(words.rsplit("registered=")[-1]) in serving.stages()
        assert "earlier model" not in words
        assert "Another release" not in words
    if killed:
        settle(serving)
    stages = serving.stages()
    assert sorted(stages) == list(range(1, len(stages) + 1))
    assert [number for number, stage in stages.items() if stage == "production"] == [served(serving, "production")]
    assert served(serving, "production") == said_by_status(serving)


def settle(toy: Toy) -> None:
    """Complete or undo what a kill interrupted, as the next command does: deploy what is in production.

    A kill between the tags of the new version and the old leaves both in production: the newer is.
    """
    live = max((number for number, stage in toy.stages().items() if stage == "production"), default=1)
    toy.mlops("deploy", "production", "--version", str(live), "--yes")


def served(toy: Toy, environment: Any) -> int:
    """Return the version that clients get an answer from."""
    target = LocalTarget(load_project(toy.root), environment)
    row = {"near": 0.1, "far": 0.2, "told": 0.3, "segment": "a", "note": "x"}
    answer = target.invoke(json.dumps({"input_data": [row]}).encode())
    assert answer.status == 200, answer
    return int(json.loads(answer.body)["model"]["version"])


def said_by_status(toy: Toy) -> int:
    shown = re.findall(r"production +\w+ +(\d+) +100 % +healthy", toy.mlops("status").output)
    assert len(shown) == 1
    return int(shown[0])


def test_the_lock_files_are_beside_the_environments(tmp_path: Path) -> None:
    made = make_toy(tmp_path)
    made.mlops("validate")
    assert sorted(file.name for file in (tmp_path / ".mlops").iterdir()) == ["run.holder", "run.lock"]
