"""What served when: kept once at each change, exported, and any change of the record is noticed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Toy
from mlops.config import load_project
from mlops.model.history import Period, append, approver, read_history
from mlops.model.registry import Registry
from test_killed import kill
from test_release import next_version

KEY = "mlops.history.production."
ORIGIN = {"mlops.decision": "better", "mlops.data_digest": "d" * 64, "mlops.model_digest": "e" * 64}
SERVED = (1, 2, 1, 3)  # the versions that production serves, in turn


def registry(toy: Toy, versions: int = 3) -> Registry:
    """Return a registry with versions that have no files."""
    made = Registry(load_project(toy.root))
    client = mlflow.MlflowClient()
    client.create_registered_model(made.name)
    for _ in range(versions):
        client.create_model_version(made.name, str(toy.root), tags=ORIGIN)
    return made


def record(made: Registry, *served: int) -> None:
    for number in served:
        append(made, "production", made.version(number), "release", "alice, --yes")


@pytest.fixture
def made(toy: Toy) -> Registry:
    found = registry(toy)
    record(found, *SERVED)
    return found


def problems(made: Registry) -> tuple[str, ...]:
    return read_history(made, "production").problems


def tags(made: Registry) -> dict[str, int]:
    """Return the history's tags of production, and which version carries each."""
    return {key: v.number for v in made.versions() for key in v.tags if key.startswith(KEY)}


def remove(made: Registry, *numbers: int) -> None:
    carriers = tags(made)
    for number in numbers:
        key = f"{KEY}{number:04}"
        mlflow.MlflowClient().delete_model_version_tag(made.name, str(carriers[key]), key)


def edit(made: Registry, number: int, **changes: Any) -> None:
    key = f"{KEY}{number:04}"
    version = made.version(tags(made)[key])
    made.tag(version, key, json.dumps({**json.loads(version.tags[key]), **changes}))


def test_periods_follow_each_other(made: Registry) -> None:
    history = read_history(made, "production")
    assert history.problems == ()
    periods = history.periods
    assert [period.version for period in periods] == list(SERVED)
    assert [period.number for period in periods] == [1, 2, 3, 4]
    assert [period.until for period in periods] == [*(period.since for period in periods[1:]), ""]
    assert [period.ended_by for period in periods] == [
        "release of version 2",
        "release of version 1",
        "release of version 3",
        "",
    ]
    assert {(p.decision, p.data, p.model, p.by) for p in periods} == {(*ORIGIN.values(), "alice, --yes")}
    assert read_history(made, "staging").periods == ()


def test_the_same_change_is_recorded_once(made: Registry) -> None:
    before = read_history(made, "production")
    record(made, SERVED[-1], SERVED[-1])
    assert read_history(made, "production") == before


def test_entries_fit_into_an_azure_tag(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    made = registry(toy)
    monkeypatch.setenv("GITHUB_ACTOR", "a" * 300)
    append(made, "production", made.version(1), "rollback", approver("rollback"))
    append(made, "production", made.version(2), "rollback", approver("rollback"))
    assert len(made.version(2).tags[f"{KEY}0002"]) <= 256
    assert read_history(made, "production").periods[0].by.endswith("a, rollback")


Tamper = Callable[[Registry], None]
TAMPERED: dict[str, tuple[Tamper, str]] = {
    **{
        f"{field} of entry {number} edited": (
            lambda made, number=number, field=field, value=value: edit(made, number, **{field: value}),
            says,
        )
        for field, value in {"by": "mallory", "time": "2020-01-01T00:00:00Z", "event": "rollback"}.items()
        for number, says in {
            1: "Entry 2 of production does not continue the chain: entry 1,",
            2: "Entry 3 of production does not continue the chain: entry 2,",
            4: "Entry 4 of production was changed, or its second record was.",
        }.items()
    },
    "first removed": (lambda made: remove(made, 1), "Entry 1 of production was removed."),
    "one removed": (lambda made: remove(made, 2), "Entry 2 of production was removed."),
    "two removed": (lambda made: remove(made, 2, 3), "Entries 2 to 3 of production were removed."),
    "newest removed": (lambda made: remove(made, 4), "Entry 4 of production was removed."),
    "two newest removed": (lambda made: remove(made, 3, 4), "Entries 3 to 4 of production were removed."),
    "all removed": (lambda made: remove(made, 1, 2, 3, 4), "Entries 1 to 4 of production were removed."),
    "unreadable": (
        lambda made: made.tag(made.version(2), f"{KEY}0002", "{"),
        "Entry 2 of production cannot be read.",
    ),
    "second record removed": (
        lambda made: mlflow.MlflowClient().delete_model_version_tag(made.name, "1", f"{KEY}newest"),
        "The second record of production's newest entry was removed.",
    ),
    "second record edited": (
        lambda made: made.tag(made.version(1), f"{KEY}newest", f"4 {'0' * 64}"),
        "Entry 4 of production was changed, or its second record was.",
    ),
    "decision of a version edited": (
        lambda made: made.tag(made.version(2), "mlops.decision", "better, really"),
        "entry 2, the one before, was changed.",
    ),
    "data of the newest version edited": (
        lambda made: made.tag(made.version(3), "mlops.data_digest", "0" * 64),
        "Entry 4 of production was changed, or its second record was.",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_change_of_the_record_is_noticed(made: Registry, toy: Toy, name: str) -> None:
    tamper, says = TAMPERED[name]
    tamper(made)
    assert says in " ".join(problems(made))
    said = toy.mlops("history", code=1).output
    assert "The history was changed." in said
    assert says in " ".join(said.split())


def swap(made: Registry, *, renumbered: bool) -> None:
    """Exchange entries 1 and 3, which the same version carries."""
    version = made.version(1)
    first, third = (json.loads(version.tags[f"{KEY}{number:04}"]) for number in (1, 3))
    if renumbered:
        first, third = {**first, "number": 3}, {**third, "number": 1}
    made.tag(version, f"{KEY}0001", json.dumps(third))
    made.tag(version, f"{KEY}0003", json.dumps(first))


@pytest.mark.parametrize("renumbered", [False, True])
def test_reordered_entries_are_noticed(made: Registry, renumbered: bool) -> None:
    swap(made, renumbered=renumbered)
    words = "does not continue the chain" if renumbered else "Entry 1 of production was moved: it is that of number 3."
    assert words in " ".join(problems(made))


def test_the_next_release_does_not_hide_a_removed_entry(made: Registry) -> None:
    remove(made, 4)
    record(made, 2)
    assert "Entry 4 of production was removed." in problems(made)


def test_a_kill_between_the_two_records_is_completed(made: Registry) -> None:
    second = made.version(1).tags[f"{KEY}newest"]
    record(made, 2)
    made.tag(made.version(1), f"{KEY}newest", second)  # as if killed before it was written
    before = read_history(made, "production")
    assert before.problems == ()
    record(made, 2)
    assert read_history(made, "production") == before
    assert made.version(1).tags[f"{KEY}newest"].startswith("5 ")


def test_json_and_csv_hold_what_the_history_holds(made: Registry, toy: Toy) -> None:
    history = read_history(made, "production")
    content = json.loads(toy.mlops("history", "--format", "json").stdout)
    assert [Period(**period) for period in content["production"]["periods"]] == list(history.periods)
    rows = list(csv.DictReader(io.StringIO(toy.mlops("history", "--format", "csv").stdout)))
    assert [Period(**{**row, **{k: int(row[k]) for k in ("number", "version")}}) for row in rows] == list(
        history.periods
    )


def test_versions_released_before_it_existed_are_named(toy: Toy) -> None:
    made = registry(toy)
    made.tag(made.version(1), "mlops.stage", "retired")
    made.tag(made.version(2), "mlops.stage", "production")
    said = toy.mlops("history").output
    assert "Version 1 was in production before the history was kept." in said
    assert "Version 2 was in production before the history was kept." in said
    assert "Version 3" not in said


@pytest.mark.parametrize("variables", [{"GITHUB_ACTOR": "octo"}, {"BUILD_REQUESTEDFOR": "Ada Lovelace"}])
def test_ci_names_who_started_the_job(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTOR", "BUILD_REQUESTEDFOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert approver("--yes") == f"{next(iter(variables.values()))}, --yes"


def test_releases_and_rollbacks_are_recorded_also_after_a_kill(serving: Toy) -> None:
    next_version(serving, "Columns", width=2)
    serving.mlops("deploy", "staging")
    kill(serving, ["deploy", "production", "--yes"], lambda said: "100 % of the traffic" in said)
    serving.mlops("deploy", "production", "--yes")
    serving.mlops("deploy", "production", "--yes")  # already live: no change
    serving.mlops("rollback")
    made = Registry(load_project(serving.root))
    found = read_history(made, "production")
    assert found.problems == found.unrecorded == ()
    assert [(p.version, p.event, p.ended_by) for p in found.periods] == [
        (1, "release", "release of version 2"),
        (2, "release", "rollback of version 1"),
        (1, "rollback", ""),
    ]
    assert [p.by.split(", ")[1] for p in found.periods] == ["--yes", "--yes", "rollback"]
    assert [p.version for p in read_history(made, "staging").periods] == [1, 2]
    assert found.periods[0].data == made.version(1).tags["mlops.data_digest"]


def test_an_empty_registry_has_no_history(toy: Toy, tmp_path: Path) -> None:
    assert toy.mlops("history").output.split() == (
        "environment from to version event approved by ended by decision data".split()
    )
