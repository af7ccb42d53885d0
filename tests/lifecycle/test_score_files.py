"""Scoring files: the lines are the registered model's own answers, and bad rows are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from conftest import Toy, make_rows, make_toy
from mlops import lifecycle
from mlops.config import load_project
from mlops.errors import DataError
from mlops.model.loading import model_digest
from mlops.model.registry import Registry
from mlops.results import Scored
from mlops.serving import batch


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A project whose model is registered."""
    made = make_toy(tmp_path_factory.mktemp("batch"))
    made.mlops("run")
    return made


@pytest.fixture(scope="module")
def folder(project: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registered model's files."""
    registry = Registry(load_project(project.root))
    return registry.download(registry.version(1), tmp_path_factory.mktemp("registered") / "model")


@pytest.fixture
def score(project: Toy, folder: Path, tmp_path: Path) -> Any:
    """A function that scores a file or folder, and returns the lines and the counts."""

    def score(source: Path) -> tuple[list[dict[str, Any]], list[Scored]]:
        loaded = load_project(project.root)
        scored = list(lifecycle.score(loaded, source, tmp_path / "scored", folder, model_digest(folder)))
        found = [json.loads(line) for one in scored for line in one.lines.read_text("utf-8").splitlines()]
        assert sum(one.rows for one in scored) == len(found)
        assert sum(one.problems for one in scored) == sum("problems" in line for line in found)
        return found, scored

    return score


def write(rows: pd.DataFrame, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        rows.to_parquet(file, index=False)
    else:
        rows.to_csv(file, index=False)
    return file


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet"])
def test_each_row_gets_the_models_own_answer(folder: Path, score: Any, tmp_path: Path, name: str) -> None:
    model = mlflow.sklearn.load_model(str(folder))
    rows = make_rows(500, seed=5)
    found, (scored,) = score(write(rows, tmp_path / name))
    inputs = rows.drop(columns="outcome")
    shares = pd.DataFrame([line["probabilities"] for line in found])[list(model.classes_)]
    assert np.allclose(shares, model.predict_proba(inputs), atol=1e-12)
    assert [line["label"] for line in found] == model.predict(inputs).tolist()
    assert (scored.file, scored.lines) == (name, tmp_path / "scored" / f"{name}.jsonl")
    assert [line["row"] for line in found] == list(range(1, 501))


def test_a_folder_is_scored_file_by_file(score: Any, tmp_path: Path) -> None:
    source = tmp_path / "folder.2026" / "_in"
    names = ["a.csv", "more/a.csv", "more/b.parquet"]
    for count, name in enumerate(names, start=3):
        write(make_rows(count), source / name)
    for note in ("_SUCCESS", ".hidden", "_logs/x.csv", "more/.x.csv.crc"):
        (source / note).parent.mkdir(exist_ok=True)
        (source / note).write_text("no rows", encoding="utf-8")
    _, scored = score(source)
    assert [(one.file, one.rows) for one in scored] == [*zip(names, (3, 4, 5), strict=True)]
    made = sorted(f.relative_to(tmp_path / "scored").as_posix() for f in (tmp_path / "scored").rglob("*.jsonl"))
    assert made == [f"{name}.jsonl" for name in names]


@pytest.mark.parametrize(("name", "words"), [("none", "does not exist"), ("empty", "has no files")])
def test_a_source_without_files_is_an_error(score: Any, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=words):
        score(tmp_path / name)


def test_parts_of_a_large_file_are_counted_on(score: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rows.csv", "rows.parquet"):
        write(make_rows(90), tmp_path / "in" / name)
    whole = score(tmp_path / "in")
    monkeypatch.setattr(batch, "CHUNK", 40)
    assert score(tmp_path / "in") == whole
    assert [line["row"] for line in whole[0]] == [*range(1, 91), *range(1, 91)]


def test_other_columns_are_ignored(score: Any, tmp_path: Path) -> None:
    rows = make_rows(20)
    plain, _ = score(write(rows, tmp_path / "rows.csv"))
    keyed = rows.assign(customer=range(20))[["customer", *reversed(rows.columns)]]
    assert score(write(keyed, tmp_path / "rows.csv"))[0] == plain


def test_bad_rows_are_named_and_the_others_scored(score: Any, tmp_path: Path) -> None:
    rows = make_rows(6).astype({"near": object})
    rows.loc[1, "near"] = "much"
    rows.loc[2, "far"] = np.inf
    rows.loc[4, "segment"] = None
    found, _ = score(write(rows, tmp_path / "rows.csv"))
    assert ["label" in line for line in found] == [True, False, False, True, False, True]
    assert found[1] == {"row": 2, "problems": [{"column": "near", "problem": "should be a number, is 'much'"}]}
    assert found[2]["problems"] == [{"column": "far", "problem": "should be a number, is 'inf'"}]
    missing = "is missing, but the training data had no missing values"
    assert found[4]["problems"] == [{"column": "segment", "problem": missing}]


def test_a_row_that_the_model_refuses_does_not_stop_the_others(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A random forest takes no numbers beyond 32 bits."""
    toy = make_toy(tmp_path_factory.mktemp("forest"))
    toy.set(model={"estimator": "random_forest", "params": {"n_estimators": 5}})
    toy.mlops("run")
    project = load_project(toy.root)
    registry = Registry(project)
    files = registry.download(registry.version(1), tmp_path / "model")
    rows = make_rows(9)
    rows.loc[[2, 7], "near"] = 1e300
    (scored,) = lifecycle.score(
        project, write(rows, tmp_path / "rows.csv"), tmp_path / "out", files, model_digest(files)
    )
    found = [json.loads(line) for line in scored.lines.read_text("utf-8").splitlines()]
    assert [line["row"] for line in found if "problems" in line] == [3, 8]
    assert found[2]["problems"] == [{"column": "", "problem": "has numbers that the model cannot score"}]


def test_a_value_may_be_missing_where_training_saw_that(score: Any, tmp_path: Path) -> None:
    rows = make_rows(50)
    assert rows["note"].isna().any()
    assert all("label" in line for line in score(write(rows, tmp_path / "rows.csv"))[0])


def test_text_that_looks_like_a_number_stays_text(score: Any, tmp_path: Path) -> None:
    rows = make_rows(3).assign(segment=["1", "2", "3"])
    assert all("label" in line for line in score(write(rows, tmp_path / "rows.csv"))[0])
    numbers = write(rows.assign(segment=[1, 2, 3]), tmp_path / "rows.parquet")
    assert [line["problems"][0]["problem"] for line in score(numbers)[0]] == [
        f"should be text, is '{number}'" for number in (1, 2, 3)
    ]


def test_a_file_without_a_needed_column_fails(score: Any, tmp_path: Path) -> None:
    for name in ("rows.csv", "rows.parquet"):
        file = write(make_rows(3).drop(columns="near"), tmp_path / name)
        with pytest.raises(DataError, match=rf"{name} lacks columns: .*near"):
            score(file)
        assert not (tmp_path / "scored" / f"{name}.jsonl").exists()


def test_a_file_of_another_kind_fails(score: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"rows\.xlsx is neither CSV nor Parquet"):
        score(tmp_path / "rows.xlsx")
