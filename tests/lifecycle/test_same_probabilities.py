"""The same row gets the same probabilities alone, in a group of requests and in the batch endpoint."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from conftest import Toy, make_rows, make_toy

CLASSIFIERS = {
    "logistic_regression": {},
    "random_forest": {"n_estimators": 40, "min_samples_leaf": 5},
    "hist_gradient_boosting": {"max_iter": 40},
}
ROWS = 400  # in one request; more than are scored as arrays
CLIENTS = 16
CLOSE = 1e-9


@pytest.fixture(scope="module", params=CLASSIFIERS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A project with one of the known classifiers in staging."""
    toy = make_toy(tmp_path_factory.mktemp(request.param))
    toy.set(model={"estimator": request.param, "params": CLASSIFIERS[request.param]})
    toy.mlops("run")
    toy.mlops("deploy", "staging")
    yield toy
    toy.mlops("stop")


def unusual_rows() -> pd.DataFrame:
    """Make rows that include very large and small numbers, and segments that training never saw."""
    rows = make_rows(ROWS, seed=5).drop(columns="outcome")
    rows.loc[::17, "near"] = 1e30
    rows.loc[::19, "far"] = -1e30
    rows.loc[::23, "told"] = 1e-300
    rows.loc[::29, "segment"] = "\u00e9 never seen"
    return rows


def slot_of(toy: Toy) -> tuple[int, Path]:
    """Return the port and the model's folder of the slot that serves staging."""
    home = toy.root / ".mlops" / "staging"
    ((slot, kept),) = json.loads((home / "state.json").read_text("utf-8"))["slots"].items()
    return kept["port"], home / slot / "azureml-models" / "toy" / "1"


def probabilities(lines: list[dict[str, Any]], classes: list[str]) -> Any:
    return np.array([[line["probabilities"][name] for name in classes] for line in lines])


def test_alone_in_a_group_and_in_batch(served: Toy, tmp_path: Path) -> None:
    assert "arrays" in served.mlops("status").output
    port, folder = slot_of(served)
    model = mlflow.sklearn.load_model(str(next(folder.rglob("MLmodel")).parent))
    rows = unusual_rows()
    records = json.loads(rows.to_json(orient="records", double_precision=15))
    rows = pd.DataFrame(records, columns=list(rows.columns))  # JSON rounds, so that all read the same numbers
    expected = model.predict_proba(rows)
    assert len(np.unique(expected.round(6), axis=0)) > 50

    def ask(some: list[dict[str, Any]]) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/score", json.dumps({"input_data": some}))
        answer = connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == 200, content
        connection.close()
        return probabilities(content["predictions"], list(model.classes_))

    alone = np.concatenate([ask([record]) for record in records])
    with ThreadPoolExecutor(CLIENTS) as pool:
        group = np.concatenate(list(pool.map(lambda record: ask([record]), records)))
    whole = ask(records)

    rows.to_csv(tmp_path / "rows.csv", index=False)
    served.mlops("score", str(tmp_path / "rows.csv"), "--environment", "staging", "--out", str(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "rows.csv.jsonl").read_text("utf-8").splitlines()]
    batch = probabilities(lines, list(model.classes_))

    for found in (alone, group, whole, batch):
        assert np.abs(found - expected).max() < CLOSE
