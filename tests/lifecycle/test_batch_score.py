"""Batch scoring: the lines are the registered model's own answers, and bad rows are named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Toy, make_rows, make_toy
from mlops.config import load_project
from mlops.errors import DataError
from mlops.model.loading import model_digest, trust
from mlops.model.registry import Registry
from mlops.serving import batch_score


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A project whose model is registered."""
    made = make_toy(tmp_path_factory.mktemp("batch"))
    made.mlops("run")
    return made


@pytest.fixture(scope="module")
def model(project: Toy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The registered model, which the scoring script has loaded."""
    import mlflow.sklearn

    registry = Registry(load_project(project.root))
    folder = registry.download(registry.version(1), tmp_path_factory.mktemp("registered") / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZUREML_MODEL_DIR", str(folder.parent))  # it holds no other model
        for name, value in trust(load_project(project.root), model_digest(folder)).variables().items():
            patch.setenv(name, value)
        batch_score.init()
        yield mlflow.sklearn.load_model(str(folder))


def write(rows: pd.DataFrame, file: Path) -> str:
    if file.suffix == ".parquet":
        rows.to_parquet(file, index=False)
    else:
        rows.to_csv(file, index=False)
    return str(file)


def lines(*files: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in batch_score.run(list(files))]


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet"])
def test_each_row_gets_the_models_own_answer(model: Any, tmp_path: Path, name: str) -> None:
    rows = make_rows(500, seed=5)
    found = lines(write(rows, tmp_path / name))
    inputs = rows.drop(columns="outcome")
    shares = pd.DataFrame([line["probabilities"] for line in found])[list(model.classes_)]
    assert np.allclose(shares, model.predict_proba(inputs), atol=1e-12)
    assert [line["label"] for line in found] == model.predict(inputs).tolist()
    assert {line["file"] for line in found} == {name}
    assert [line["row"] for line in found] == list(range(1, 501))


def test_parts_of_a_large_file_are_counted_on(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [write(make_rows(90), tmp_path / name) for name in ("rows.csv", "rows.parquet")]
    whole = lines(*files)
    monkeypatch.setattr(batch_score, "CHUNK", 40)
    assert lines(*files) == whole
    assert [line["row"] for line in whole] == [*range(1, 91), *range(1, 91)]


def test_other_columns_are_ignored(model: Any, tmp_path: Path) -> None:
    rows = make_rows(20)
    plain = lines(write(rows, tmp_path / "rows.csv"))
    keyed = rows.assign(customer=range(20))[["customer", *reversed(rows.columns)]]
    assert lines(write(keyed, tmp_path / "rows.csv")) == plain


def test_bad_rows_are_named_and_the_others_scored(model: Any, tmp_path: Path) -> None:
    rows = make_rows(6).astype({"near": object})
    rows.loc[1, "near"] = "much"
    rows.loc[2, "far"] = np.inf
    rows.loc[4, "segment"] = None
    found = lines(write(rows, tmp_path / "rows.csv"))
    assert ["label" in line for line in found] == [True, False, False, True, False, True]
    assert found[1] == {
        "file": "rows.csv",
        "row": 2,
        "problems": [{"column": "near", "problem": "should be a number, is 'much'"}],
    }
    assert found[2]["problems"] == [{"column": "far", "problem": "should be a number, is 'inf'"}]
    missing = "is missing, but the training data had no missing values"
    assert found[4]["problems"] == [{"column": "segment", "problem": missing}]


def test_a_value_may_be_missing_where_training_saw_that(model: Any, tmp_path: Path) -> None:
    rows = make_rows(50)
    assert rows["note"].isna().any()
    assert all("label" in line for line in lines(write(rows, tmp_path / "rows.csv")))


def test_text_that_looks_like_a_number_stays_text(model: Any, tmp_path: Path) -> None:
    rows = make_rows(3).assign(segment=["1", "2", "3"])
    assert all("label" in line for line in lines(write(rows, tmp_path / "rows.csv")))
    numbers = write(rows.assign(segment=[1, 2, 3]), tmp_path / "rows.parquet")
    assert [line["problems"][0]["problem"] for line in lines(numbers)] == [
        f"should be text, is '{number}'" for number in (1, 2, 3)
    ]


def test_a_file_without_a_needed_column_fails(model: Any, tmp_path: Path) -> None:
    for name in ("rows.csv", "rows.parquet"):
        file = write(make_rows(3).drop(columns="near"), tmp_path / name)
        with pytest.raises(DataError, match=rf"{name} lacks columns: .*near"):
            batch_score.run([file])


def test_a_file_of_another_kind_fails(model: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"rows\.xlsx is neither CSV nor Parquet"):
        batch_score.run([str(tmp_path / "rows.xlsx")])
