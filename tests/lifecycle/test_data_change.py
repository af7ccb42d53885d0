"""Broken data must not promote its own model; fresh data of the same kind must not stop one."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlops
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import Toy, empty_store
from mlops import lifecycle
from mlops.config import Gate
from mlops.data.profile import distances, profile
from mlops.evaluation.bootstrap import figure, standard_error
from mlops.evaluation.data_change import Champion, check_data
from mlops.evaluation.metrics import Predictions, measure
from mlops.results import Decision, Evaluation, Reason, Shift

SAMPLE = Path(mlops.__file__).parents[2]  # the rendered project
METRICS = ("average_precision", "roc_auc", "log_loss", "brier")
SOUND = pd.read_csv(SAMPLE / "data" / "credit.csv")
SOUND = SOUND.assign(customer=[f"c{number}" for number in range(len(SOUND))])
PARAMS = {"learning_rate": 0.1, "max_leaf_nodes": 7, "l2_regularization": 1.0}
WHY = "the bank now reports in euros"


def shuffled(values: pd.Series) -> Any:
    return np.random.default_rng(0).permutation(values)


def swapped(frame: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    return frame.assign(**{one: frame[other], other: frame[one]})


FAULTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "thousandth": lambda f: f.assign(income=f.income / 1000),
    "thousandfold": lambda f: f.assign(amount=f.amount * 1000),
    "sign": lambda f: f.assign(income=-f.income),
    "swapped numbers": lambda f: swapped(f, "income", "expenses"),
    "swapped money": lambda f: swapped(f, "price", "amount"),
    "swapped texts": lambda f: swapped(f, "home", "job"),
    "shuffled numbers": lambda f: f.assign(seniority=shuffled(f.seniority)),
    "shuffled texts": lambda f: f.assign(records=shuffled(f.records)),
    "constant": lambda f: f.assign(income=f.income.median()),
    "clipped": lambda f: f.assign(income=f.income.clip(upper=f.income.median())),
    "truncated texts": lambda f: f.assign(job=f.job.str[:1]),
    "truncated numbers": lambda f: f.assign(income=f.income // 100),
    "re-cased": lambda f: f.assign(records=f.records.str.upper()),
    "missing as a number": lambda f: f.assign(income=f.income.fillna(99_999)),
    "missing": lambda f: f.assign(records=f.records.where(f.index % 5 > 0)),
}


@pytest.fixture(scope="module")
def credit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a copy of the sample project with version 1 registered, and ranges ten times too wide.

    Rows keep their side by an id of their own: a broken column must not move them.
    """
    root = tmp_path_factory.mktemp("data_change") / "credit"
    root.mkdir()
    for name in ("data", "expectations", "src"):
        shutil.copytree(SAMPLE / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "mlops"))
    shutil.copy(SAMPLE / "project.yml", root)
    (root / "mlflow.db").write_bytes(empty_store())
    loosen(root / "expectations")
    SOUND.to_csv(root / "data" / "credit.csv", index=False)
    configure(root, data={"id": "customer"}, model={"params": {**PARAMS, "max_iter": 60}})
    lifecycle.run(lifecycle.load_project(root))
    configure(root, model={"params": {**PARAMS, "max_iter": 55}})
    yield root
    sys.modules.pop("credit_risk", None)


def configure(root: Path, **sections: dict[str, Any]) -> None:
    content = yaml.safe_load((root / "project.yml").read_text("utf-8"))
    for section, values in sections.items():
        content[section].update(values)
    (root / "project.yml").write_text(yaml.safe_dump(content), "utf-8")


def loosen(folder: Path) -> None:
    """Widen the ranges tenfold, allow negative numbers and any text, and drop the limits on missing values."""
    loose = {"in_set", "not_be_null", "to_equal_set", "match_set", "to_be_unique"}
    for file in folder.iterdir():
        suite = json.loads(file.read_text("utf-8"))
        kept = [e for e in suite["expectations"] if not e["type"].endswith(tuple(loose))]
        for expectation in kept:
            if expectation["type"] == "expect_column_values_to_be_between":
                limit = 10_000 * expectation["kwargs"]["max_value"]
                expectation["kwargs"].update(min_value=-limit, max_value=limit)
        file.write_text(json.dumps({**suite, "expectations": kept}), "utf-8")


def evaluate(root: Path, frame: pd.DataFrame, accept: str = "") -> Evaluation:
    """Validate, train and evaluate on a file of these rows."""
    file = root / "today.csv"
    frame.to_csv(file, index=False)
    project = lifecycle.load_project(root)
    rows = lifecycle.read(project, file)
    dataset = lifecycle.split(project, rows)
    training = lifecycle.train(project, dataset, lifecycle.validate(project, rows), lambda _: None)
    return lifecycle.evaluate(project, dataset, training, accept=accept)


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_column_promotes_no_model(credit: Path, fault: str) -> None:
    evaluation = evaluate(credit, FAULTS[fault](SOUND))
    decision = evaluation.decision
    assert decision.gain is not None
    assert decision.gain.confidence >= 0.9, "without a check it would be registered"
    assert not decision.accepted
    assert codes(decision)[0] == "data_changed"
    broken = {c for c in SOUND if not FAULTS[fault](SOUND)[c].equals(SOUND[c])}
    assert {shift.column for shift in evaluation.shifts if shift.notable} == broken
    assert all(column in decision.reasons[0].text for column in broken)


def test_the_word_of_a_person_goes_on_and_is_kept(credit: Path) -> None:
    broken = FAULTS["thousandth"](SOUND)
    assert not evaluate(credit, broken).decision.accepted
    decision = evaluate(credit, broken, accept=WHY).decision
    assert decision.accepted
    assert codes(decision) == ["better", "data_change_accepted"]
    assert WHY in decision.reasons[1].text
    assert "income (median 125 → 0.125)" in decision.reasons[1].text


def test_sound_data_needs_no_word(credit: Path) -> None:
    found = evaluate(credit, SOUND, accept=WHY)
    assert not {"data_changed", "data_change_accepted"} & {*codes(found.decision)}
    assert {shift.distance for shift in found.shifts} == {0}
    grown = pd.concat([SOUND, SOUND.sample(1000, random_state=1).assign(customer=range(1000))])
    assert "data_changed" not in codes(evaluate(credit, grown).decision)


def test_a_project_can_warn_and_go_on(credit: Path) -> None:
    configure(credit, gate={"on_data_change": "warn"})
    decision = evaluate(credit, FAULTS["re-cased"](SOUND)).decision
    configure(credit, gate={"on_data_change": "stop"})
    assert decision.accepted
    assert codes(decision) == ["better", "data_changed"]


def test_the_commands_stop_with_3_until_a_person_goes_on(toy: Toy) -> None:
    """Rows have an id, so that the champion itself is compared, and not its pipeline fitted anew."""
    rows = pd.read_csv(toy.root / "rows.csv")
    rows = rows.assign(who=range(len(rows)))
    rows.to_csv(toy.root / "rows.csv", index=False)
    raw = toy.root / "expectations" / "raw.json"
    raw.write_text(raw.read_text("utf-8").replace('"note"', '"note", "who"', 1), "utf-8")
    toy.set(data={"id": "who"})
    toy.model("Columns", width=3)
    toy.mlops("run")
    rows.assign(told=-rows.told).to_csv(toy.root / "rows.csv", index=False)
    toy.set(model={"params": {"width": 2}}, gate={"metric": "roc_auc"})
    stopped = toy.mlops("run", code=3)
    assert stopped.stdout.endswith("registered=none reason=data_changed\n")
    assert "Gate: REFUSED (data_changed): The champion, version 1, scores roc_auc" in stopped.stdout
    assert "mlops run --accept-data-change WHY" in stopped.stdout
    assert re.search(r"^told +0\.\d\d +median 1\.\d+ → -", stopped.stdout, re.M)
    report = (toy.root / "outputs/report/report.md").read_text("utf-8")
    assert re.search(r"\| <code>told</code> \| 0\.\d\d \| median 1\.\d+ → ", report)
    assert toy.stages() == {1: "registered"}
    toy.mlops("evaluate", code=3)
    toy.mlops("register", code=3)
    toy.mlops("evaluate", "--accept-data-change", WHY)
    assert WHY in str(toy.output("evaluation/evaluation.json")["decision"]["reasons"])
    toy.mlops("register")
    assert toy.stages() == {1: "registered", 2: "registered"}
    toy.set(model={"params": {"width": 1}})
    toy.mlops("run", "--replace-champion", "a smaller model")


def test_a_champion_of_before_stops_nothing_and_says_so(toy: Toy) -> None:
    toy.mlops("run")
    for file in (toy.root / "mlruns").rglob("profile.json"):
        file.unlink()
    toy.model("Columns", width=2)
    toy.mlops("run")
    evaluation = toy.output("evaluation/evaluation.json")
    assert [reason["code"] for reason in evaluation["decision"]["reasons"]] == ["better", "data_not_compared"]
    assert evaluation["shifts"] == []


def predictions(rows: int, skill: float, seed: int, classes: int = 2, rare: float = 0.5) -> Predictions:
    """Return the predictions of a calibrated model that knows a part of the truth."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(rows, classes)) * skill
    scores[:, 0] += np.log((1 - rare) / rare)
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    truth = (chances.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)
    return Predictions(truth, chances, chances.argmax(axis=1), 1 if classes == 2 else None)


def check(p: Predictions, registered: float | None, shifts: tuple[Shift, ...], metric: str) -> Decision:
    gate = Gate.model_validate({"metric": metric})
    better = Decision(accepted=True, reasons=(Reason(code="better", text=""),), thresholds=(), gain=None)
    return check_data(better, p, Champion(1, registered, p, shifts), gate, seed=999)


SAME = (Shift(column="a", distance=0.03, expected=0.05, moved=""),)


def test_fresh_rows_of_the_same_kind_hardly_ever_stop() -> None:
    """About 1 in 700 is expected, somewhat more with few rows of the class to detect."""
    kinds = [(metric, *kind) for metric in METRICS for kind in [(2, 0.5), (2, 0.05), (5, 0.3)]]
    stops = 0
    for seed, (metric, classes, rare) in enumerate(20 * kinds):
        today, then = (predictions(700, 1.5, 2 * seed + n, classes, rare) for n in (0, 1))
        stops += not check(today, figure(then, metric), SAME, metric).accepted
    assert stops <= 1


def test_no_column_of_the_sample_has_moved_between_its_halves() -> None:
    sample = SOUND.drop(columns="customer")
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(sample))
        half, rest = (profile(sample.iloc[rows], "status") for rows in np.array_split(order, 2))
        assert not [shift for shift in distances(half, rest) if shift.notable]


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_that_has_lost_its_skill_stops(metric: str) -> None:
    then, p = predictions(2000, 2, 0), predictions(2000, 2, 1)
    today = replace(p, probabilities=np.random.default_rng(0).permutation(p.probabilities))
    stopped = check(today, figure(then, metric), SAME, metric)
    assert codes(stopped) == ["data_changed"]
    assert "No column has moved notably" in stopped.reasons[0].text
    assert codes(check(today, None, SAME, metric)) == ["better", "data_not_compared"]


@pytest.mark.parametrize("metric", METRICS)
def test_a_small_fall_is_a_world_that_changes(metric: str) -> None:
    """Even where it is certain: on many rows, less than a fifth of the lead is lost."""
    p, then = predictions(40_000, 2, 0), predictions(40_000, 2.1, 1)
    assert check(p, figure(then, metric), SAME, metric).accepted


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("metric", METRICS)
def test_a_figure_is_the_metric_and_its_error_shrinks_with_the_rows(metric: str, classes: int) -> None:
    small, large = predictions(1000, 1, 0, classes), predictions(16_000, 1, 0, classes)
    assert figure(small, metric) == pytest.approx(measure(small)[metric])
    truly = np.std([figure(predictions(1000, 1, seed, classes), metric) for seed in range(100)])
    assert standard_error(small, metric, 999) == pytest.approx(truly, rel=0.35)
    assert standard_error(large, metric, 999) == pytest.approx(standard_error(small, metric, 999) / 4, rel=0.35)
