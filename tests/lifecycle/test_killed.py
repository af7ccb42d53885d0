"""After a kill at any moment, the same command reaches the result of an uninterrupted run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Toy, make_toy, processes_below
from mlops.config import load_project
from mlops.model.registry import Registry
from test_release import production, score, versions

SECONDS = 90


def kill(toy: Toy, args: list[str], now: Callable[[str], bool]) -> None:
    """Start a command and kill it as soon as ``now`` is true of what it has printed."""
    said = ""
    until = time.monotonic() + SECONDS
    with toy.running(*args) as (_, output):
        while not now(said):
            assert time.monotonic() < until, f"the moment never came:\n{said}"
            line = output.readline()
            assert line, f"it ended before:\n{said}"
            said += line


def kill_when(toy: Toy, args: list[str], happened: Callable[[], bool]) -> None:
    """Start a command and kill it as soon as something has happened to the project's files."""
    until = time.monotonic() + SECONDS
    with toy.running(*args) as (process, output):
        while not happened():
            assert time.monotonic() < until, "it never happened"
            assert process.is_alive(), output.read()
            time.sleep(0.002)


def end_state(toy: Toy) -> dict[str, Any]:
    """Return all results, without MLflow's random run names."""
    evaluation = toy.output("evaluation/evaluation.json")
    registration = toy.output("registration/registration.json")
    registered = Registry(load_project(toy.root)).versions()
    assert evaluation.pop("run_id") == registration.pop("run_id") == registered[-1].run_id
    tags = [dict(version.tags) for version in registered]
    for version in tags:
        del version["mlops.model_digest"], version["mlops.seal"]  # the files contain times and ids
    report = (toy.root / "outputs/report/report.md").read_text("utf-8")
    return {
        "validation": toy.output("validation/validation.json"),
        "evaluation": evaluation,
        "registration": registration,
        "tags": tags,
        "report": re.sub(r"\b[0-9a-f]{8,64}\b", "ID", report),
        "files": sorted(str(p.relative_to(toy.root)) for p in (toy.root / "outputs").rglob("*")),
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    made = make_toy(tmp_path_factory.mktemp("unbroken"))
    made.mlops("run")
    return end_state(made)


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "while the store is created": lambda root: (root / "mlflow.db.part").exists(),
    "while it validates": lambda root: (root / "outputs/validation").exists(),
    "when a run has started": lambda root: (root / "mlruns").exists(),
    "while it trains": lambda root: (root / "outputs/training/started").exists(),
    "when the model is logged": lambda root: any(root.glob("mlruns/*/artifacts/model/MLmodel")),
    "while it evaluates": lambda root: (root / "outputs/evaluation").exists(),
    "when the gate has decided": lambda root: (root / "outputs/evaluation/evaluation.json").exists(),
    "when it is registered": lambda root: (root / "outputs/registration").exists(),
    "while it reports": lambda root: (root / "outputs/report").exists(),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_next_run_completes_a_killed_run(toy: Toy, unbroken: dict[str, Any], moment: str) -> None:
    if moment == "while the store is created":
        (toy.root / "mlflow.db").unlink()
    kill_when(toy, ["run"], lambda: MOMENTS[moment](toy.root))
    toy.mlops("run")
    assert end_state(toy) == unbroken


@pytest.fixture(scope="module")
def two_versions(serving: Toy) -> Toy:
    """A project with version 1 in production and version 2 in staging."""
    serving.model("Columns", width=2)
    serving.mlops("run")
    serving.mlops("deploy", "staging")
    return serving


@pytest.mark.parametrize(
    "moment",
    ["Deploying version 2", "Smoke test", "20 % of the traffic", "100 % of the traffic"],
)
def test_the_next_release_completes_a_killed_release(two_versions: Toy, moment: str) -> None:
    toy = two_versions
    kill(toy, ["deploy", "production", "--yes"], lambda said: moment in said)
    assert score(toy)["model"]["version"] in ("1", "2")
    toy.mlops("deploy", "production", "--yes")
    assert toy.stages() == {1: "retired", 2: "production"}
    state = production(toy).describe()
    assert versions(state) == {2: 100}
    assert state.pending is None
    toy.mlops("deploy", "production", "--version", "1", "--yes")
    assert toy.stages() == {1: "production", 2: "retired"}


def test_a_killed_server_start_leaves_no_process_behind(two_versions: Toy) -> None:
    toy = two_versions
    production(toy).remove(production(toy).describe().idle)
    idle = toy.root / ".mlops/production" / production(toy).describe().idle
    kill_when(toy, ["deploy", "production", "--yes"], lambda: any(processes_below(idle)))
    said = toy.mlops("deploy", "production", "--version", "1", "--yes").stdout
    assert "Undoing the interrupted release of version 2" in said
    assert not any(processes_below(idle))
    assert versions(production(toy).describe()) == {1: 100}


@pytest.mark.parametrize("moment", ["Fetching", "100 % of the traffic"])
def test_the_next_rollback_completes_a_killed_rollback(two_versions: Toy, moment: str) -> None:
    toy = two_versions
    if toy.stages()[2] == "withdrawn":
        toy.model("Columns", width=3)
        toy.mlops("run")
        toy.mlops("deploy", "staging")
    toy.mlops("deploy", "production", "--yes")
    newest = max(toy.stages())
    kill(toy, ["rollback"], lambda said: moment in said)
    toy.mlops("rollback")
    assert toy.stages()[1] == "production"
    assert toy.stages()[newest] == "withdrawn"
    assert versions(production(toy).describe()) == {1: 100}
