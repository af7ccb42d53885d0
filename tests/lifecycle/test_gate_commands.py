"""The gate through the commands, on real rows."""

from __future__ import annotations

import mlflow
import pandas as pd
import pytest
from conftest import Toy
from mlops.config import load_project
from mlops.model import tags
from mlops.model.registry import Registry
from mlops.results import Evaluation


def evaluation(toy: Toy) -> Evaluation:
    file = toy.root / "outputs" / "evaluation" / "evaluation.json"
    return Evaluation.model_validate_json(file.read_bytes())


def codes(toy: Toy) -> list[str]:
    return [reason.code for reason in evaluation(toy).decision.reasons]


def test_only_a_better_and_fair_challenger_replaces_the_champion(toy: Toy) -> None:
    first = toy.mlops("run")
    assert first.stdout.endswith("registered=1\n")
    assert codes(toy) == ["first_model"]

    toy.model("Shuffled", width=2)
    toy.set(gate={"thresholds": {}, "slice_thresholds": {}})
    worse = toy.mlops("run", code=3)
    assert worse.stdout.endswith("registered=none reason=worse\n")
    assert toy.stages() == {1: "registered"}
    toy.mlops("register", code=3)
    assert toy.stages() == {1: "registered"}

    toy.model("Columns", width=2)
    assert toy.mlops("run").stdout.endswith("registered=2\n")
    assert codes(toy) == ["better"]
    assert evaluation(toy).champion == 1

    toy.model("Unfair", width=3)
    toy.set(gate={"slice_thresholds": {"roc_auc": 0.5}})
    toy.mlops("run", code=3)
    unfair = evaluation(toy)
    assert unfair.champion_metrics is not None
    ours, theirs = (metrics["average_precision"] for metrics in (unfair.metrics, unfair.champion_metrics))
    assert ours is not None
    assert theirs is not None
    assert ours > theirs
    assert codes(toy) == ["slice_threshold_failed"]
    assert "segment=c roc_auc" in unfair.decision.reasons[0].text
    assert list(toy.stages()) == [1, 2]


def test_every_evaluation_of_a_model_is_kept(toy: Toy) -> None:
    toy.mlops("run")
    kept = []
    for _ in range(2):
        toy.mlops("evaluate")
        run = evaluation(toy).run_id
        kept.append({file.path for file in mlflow.artifacts.list_artifacts(run_id=run, artifact_path="evaluations")})
    assert len(kept[1] - kept[0]) == 1
    assert len(kept[1]) == 3
    text = mlflow.artifacts.load_text(f"runs:/{run}/{max(kept[1])}")
    assert Evaluation.model_validate_json(text) == evaluation(toy)


def test_an_equal_challenger_is_a_tie(toy: Toy) -> None:
    toy.model("Columns", width=2)
    toy.mlops("run")
    toy.model("Faulty", width=2)  # the same model by another class name
    toy.mlops("run", code=3)
    assert codes(toy) == ["tie"]


def test_a_gain_within_chance_is_refused(toy: Toy) -> None:
    toy.model("Columns", width=2)
    toy.mlops("run")
    toy.model("Columns", width=3)
    toy.set(gate={"margin": 0.5})
    toy.mlops("run", code=3)
    assert codes(toy) == ["below_margin"]


def test_thresholds_alone_judge_the_first_model(toy: Toy) -> None:
    toy.model("Shuffled", width=1)
    toy.mlops("run", code=3)
    assert "threshold_failed" in codes(toy)
    assert toy.stages() == {}


@pytest.mark.parametrize("done", [(), (tags.STAGE,), (tags.MODEL_DIGEST, tags.SEAL)])
def test_a_registration_that_was_cut_off_is_completed(toy: Toy, done: tuple[str, ...]) -> None:
    """Azure ML takes a version's tags one by one, after it was created."""
    toy.mlops("run")
    whole = Registry(load_project(toy.root)).version(1)
    client = mlflow.MlflowClient()
    for key in whole.tags.keys() - set(done):
        client.delete_model_version_tag("toy", "1", key)
    assert "registered by hand" in toy.mlops("deploy", "staging", "--version", "1", code=1).output
    toy.mlops("register")
    assert Registry(load_project(toy.root)).version(1).tags == whole.tags
    assert Registry(load_project(toy.root)).version(1).is_decided


def test_the_same_run_twice_registers_once(toy: Toy) -> None:
    toy.mlops("run")
    again = toy.mlops("run")
    assert "Nothing has changed" in again.stdout
    toy.mlops("register")
    assert toy.stages() == {1: "registered"}


def test_a_champion_that_cannot_be_loaded_blocks_until_a_person_replaces_it(toy: Toy) -> None:
    toy.mlops("run")
    (model,) = (toy.root / "mlruns").rglob("model.skops")
    model.write_bytes(b"broken")
    toy.model("Columns", width=2)
    toy.mlops("run", code=3)
    assert codes(toy) == ["champion_unavailable"]
    toy.mlops("run", "--replace-champion", "its files were lost")
    assert codes(toy) == ["champion_replaced"]
    assert list(toy.stages()) == [1, 2]


def test_a_changed_schema_blocks_until_a_person_replaces_the_champion(toy: Toy) -> None:
    toy.mlops("run")
    rows = (toy.root / "rows.csv").read_text("utf-8")
    (toy.root / "rows.csv").write_text(rows.replace("note", "remark", 1), "utf-8")
    for suite in (toy.root / "expectations").iterdir():
        suite.write_text(suite.read_text("utf-8").replace('"note"', '"remark"'), "utf-8")
    toy.model("Columns", width=2)
    toy.mlops("run", code=3)
    assert codes(toy) == ["schema_changed"]
    assert "note" in evaluation(toy).decision.reasons[0].text
    toy.mlops("run", "--replace-champion", "note was renamed to remark")


def test_training_twice_gives_identical_predictions(toy: Toy) -> None:
    toy.set(model={"estimator": "random_forest", "params": {"n_estimators": 20}})
    predictions = toy.root / "outputs/evaluation/predictions.parquet"
    toy.mlops("run")
    first = pd.read_parquet(predictions)
    (toy.root / "outputs/training/training.json").unlink()
    assert "Nothing has changed" not in toy.mlops("train").stdout
    toy.mlops("evaluate", code=3)
    assert codes(toy) == ["tie"]
    second = pd.read_parquet(predictions)
    pd.testing.assert_frame_equal(first, second[first.columns], check_exact=True)


def test_edges_on_a_column_of_text_are_refused_with_a_fix(toy: Toy) -> None:
    toy.set(gate={"slices": [{"segment": [0.0]}]})
    refused = toy.mlops("validate", code=2)
    assert "gate.slices cuts 'segment' at edges, but the column is not numeric: row 1 is " in refused.output
    assert "Write `- segment` to slice by its values" in refused.output
