"""The local store of runs: complete or absent, and its experiment opens with the runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from conftest import Toy, make_toy
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlops.config import load_project
from mlops.model.store import local_store
from mlops.model.tracking import connect

KIND = "mlflow.experimentKind"


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    before = mlflow.get_tracking_uri()
    yield make_toy(tmp_path)
    mlflow.set_tracking_uri(before)


def kind(toy: Toy) -> str | None:
    connect(load_project(toy.root))
    experiment = mlflow.get_experiment_by_name("toy")
    assert experiment is not None
    return experiment.tags.get(KIND)


def test_a_new_experiment_is_one_of_model_training(toy: Toy) -> None:
    assert kind(toy) == "custom_model_development"


def test_an_existing_experiment_is_marked_and_a_chosen_kind_is_kept(toy: Toy) -> None:
    mlflow.set_tracking_uri(local_store(toy.root))
    mlflow.create_experiment("toy", (toy.root / "mlruns").as_uri())
    assert kind(toy) == "custom_model_development"
    mlflow.set_experiment_tag(KIND, "genai_development")
    assert kind(toy) == "genai_development"


def test_the_store_equals_the_one_that_mlflow_makes(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db.part-journal").touch()  # of an interrupted start
    local_store(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"mlflow.db", ".mlops"}
    SqlAlchemyStore(f"sqlite:///{tmp_path}/direct.db", (tmp_path / "mlruns").as_uri())
    assert schema(tmp_path / "mlflow.db") == schema(tmp_path / "direct.db")


def schema(file: Path) -> list[tuple[str, ...]]:
    """Return what the store contains; MLflow's migrations write a table's constraints in any order."""
    query = "SELECT type, name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name"
    parts = [
        (kind, name, *sorted(line.strip(" ,\t") for line in sql.splitlines()))
        for kind, name, sql in sqlite3.connect(file).execute(query)
    ]
    return [
        *parts,
        *sqlite3.connect(file).execute("SELECT version_num FROM alembic_version"),
        *sqlite3.connect(file).execute("SELECT name, artifact_location FROM experiments"),
    ]
