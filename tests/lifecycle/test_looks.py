"""How often a holdout was looked at."""

from __future__ import annotations

import mlflow
import pytest
from conftest import Toy, make_rows
from mlops import lifecycle
from mlops.config import load_project
from mlops.evaluation.looks import MANY_LOOKS, check_looks, count_looks, holdout_digest
from mlops.model.tracking import connect
from mlops.results import Evaluation


def looks(toy: Toy) -> int:
    return lifecycle.last(load_project(toy.root), Evaluation).looks


def test_each_model_counts_once_and_another_holdout_starts_anew(toy: Toy) -> None:
    assert "first look at them" in toy.mlops("run").output
    toy.mlops("evaluate")
    assert looks(toy) == 1
    toy.model("Columns", width=2)
    assert "2 models have been judged on them" in toy.mlops("run").output
    assert looks(toy) == 2
    toy.set(split={"seed": 4})
    toy.mlops("run", "--replace-champion", "a test")
    assert looks(toy) == 1


def test_the_order_of_the_rows_does_not_matter_but_the_rows_do(toy: Toy) -> None:
    project = load_project(toy.root)

    def digest(seed: int | None, drop: int = 0) -> str:
        rows = make_rows()
        rows = rows if seed is None else rows.sample(frac=1, random_state=seed)
        rows.iloc[drop:].to_csv(toy.root / "rows.csv", index=False)
        return holdout_digest(lifecycle.split(project, lifecycle.read(project)))

    assert digest(None) == digest(1) == digest(2)
    assert digest(None) != digest(None, drop=20)


@pytest.mark.parametrize(("count", "codes"), [(1, []), (MANY_LOOKS, []), (MANY_LOOKS + 1, ["many_looks"])])
def test_past_the_stated_number_the_figure_is_called_optimistic(count: int, codes: list[str]) -> None:
    found = check_looks(count)
    assert [note.code for note in found] == codes
    for note in found:
        assert "optimistic" in note.text
        assert "split.seed" in note.text
        assert "newer rows" in note.text


def test_many_looks_are_said_by_terminal_and_report(toy: Toy) -> None:
    project = load_project(toy.root)
    connect(project)
    digest = holdout_digest(lifecycle.split(project, lifecycle.read(project)))
    for number in range(MANY_LOOKS):
        with mlflow.start_run() as run:
            pass
        assert count_looks(run.info.run_id, digest) == number + 1
    with mlflow.start_run() as other:
        pass
    assert count_looks(other.info.run_id, "another") == 1
    said = toy.mlops("run").output
    assert "Note (many_looks): 21 models were evaluated on these holdout rows" in said
    for name in ("report.md", "report.html"):
        assert "many_looks" in (toy.root / "outputs" / "report" / name).read_text("utf-8")
