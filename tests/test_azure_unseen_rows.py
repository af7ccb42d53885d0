"""Under Azure ML's steps too, no model is judged by rows that it was trained on, whatever happened to the columns."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure_project import Lab, azure_lab
from doubles.session import Session, running_session
from rendering import ROOT, Render

COUNT = 20
COVERING = (0, 1, 2)  # a champion that is fitted anew, one of other columns, and the registered one
CHANGES = [pytest.param(n, marks=() if n in COVERING else pytest.mark.exhaustive) for n in range(COUNT)]

WRITE = """
from pathlib import Path
import numpy as np, pandas as pd
from column_changes import CHANGES
change = CHANGES[number % len(CHANGES)]
rows = pd.read_csv("data/credit.csv")
change(rows, np.random.default_rng([11, number])).to_csv("changed.csv", index=False)
change.__name__
"""

# The places of the rows that a model was fitted on, and of those that judged it.
PLACES = """
from pathlib import Path
import numpy as np, pandas as pd
from mlops import lifecycle
project = lifecycle.load_project(Path("."))
dataset = lifecycle.split(project, lifecycle.read(project, Path(data)))
judges = pd.read_parquet("outputs/evaluation/predictions.parquet")["row"]
judged = dataset.holdout & np.isin(dataset.keys.keys, judges)
{"trained": np.flatnonzero(~dataset.holdout).tolist(), "judged": np.flatnonzero(judged).tolist(), "judges": len(judges)}
"""


@dataclass(frozen=True)
class Champion:
    """A registered champion's places of its training rows, and its figure."""

    lab: Lab
    session: Session
    trained: frozenset[int]
    figure: float


@pytest.fixture(scope="module")
def champion(render: Render, project_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Champion]:
    """Train and register a champion on Azure ML."""

    def change(content: dict[str, Any]) -> None:
        content["gate"]["margin"] = 0.5  # so that it stays the champion

    answers = {"batch_endpoint": "no", "monitoring": "no"}
    with azure_lab(render(answers), project_python, tmp_path_factory.mktemp("unseen"), change) as lab:
        root = lab.mlops.root
        path = os.pathsep.join([str(root / "src"), str(ROOT / "tests" / "lifecycle")])
        for suite, column in (("raw", "status"), ("scoring", "age")):  # that changed columns meet
            expectation = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": column, "mostly": 0.5}}
            content = {"name": suite, "expectations": [expectation]}
            (root / "expectations" / f"{suite}.json").write_text(json.dumps(content), "utf-8")
        lab.mlops("run", "--on", "azureml")
        with running_session(project_python, {**lab.azure.environment, "PYTHONPATH": path}, root) as session:
            places = session(PLACES, data="data/credit.csv")
            assert len(places["judged"]) == places["judges"]
            figure = evaluation(root)["metrics"]["roc_auc"]
            yield Champion(lab, session, frozenset(places["trained"]), figure)


def evaluation(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "outputs" / "evaluation" / "evaluation.json").read_text("utf-8")))


@pytest.mark.parametrize("number", CHANGES)
def test_a_change_of_the_columns_leaks_no_row(champion: Champion, number: int) -> None:
    kind = champion.session(WRITE, number=number)
    champion.lab.mlops("run", "--on", "azureml", "--data", "changed.csv", code=3)
    evaluated = evaluation(champion.lab.mlops.root)
    places = champion.session(PLACES, data="changed.csv")
    judged, trained = set(places["judged"]), set(places["trained"])
    assert len(judged) == places["judges"] > 0
    assert not judged & trained
    if evaluated["champion_metrics"] is None:
        assert kind == "drop"
        assert [reason["code"] for reason in evaluated["decision"]["reasons"]] == ["schema_changed"]
        return
    if evaluated["comparison"]["how"] == "registered":
        assert not judged & champion.trained
    else:
        assert evaluated["comparison"]["how"] == "refitted"
    # Of 240 rows, the figure's standard error is 0.04.
    assert evaluated["champion_metrics"]["roc_auc"] == pytest.approx(champion.figure, abs=0.1)
