"""The gate's rule, as a table: numbers in, decision out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from mlops.config import Gate
from mlops.evaluation.gate import Gain, NoChampion, decide, summarize_gain

FIRST = NoChampion("first_model", "There is no champion yet.")
REPLACED = NoChampion("champion_replaced", "It was lost.")
GONE = NoChampion("champion_unavailable", "It cannot be loaded.")
CHANGED = NoChampion("schema_changed", "It needs other columns.")
BETTER = Gain(0.02, 0.01, 0.03, 0.99)


def part(value: str, rows: int = 100, **metrics: float) -> dict[str, Any]:
    return {"column": "home", "value": value, "rows": rows, "metrics": metrics}


@dataclass(frozen=True)
class Case:
    """What is asked of whom, and what the gate should say."""

    accepted: bool
    codes: list[str]
    against: Gain | NoChampion = FIRST
    gate: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    slices: list[dict[str, Any]] = field(default_factory=list)


ROC: dict[str, Any] = {"thresholds": {"roc_auc": 0.7}}
BRIER: dict[str, Any] = {"thresholds": {"brier": 0.2}}
SLICE: dict[str, Any] = {"slice_thresholds": {"roc_auc": 0.6}, "min_slice_rows": 50}
MARGIN: dict[str, Any] = {"margin": 0.01, "confidence": 0.9}

CASES = {
    "first, nothing asked": Case(True, ["first_model"]),
    "first, threshold held": Case(True, ["first_model"], gate=ROC, metrics={"roc_auc": 0.71}),
    "first, just on the threshold": Case(True, ["first_model"], gate=ROC, metrics={"roc_auc": 0.7}),
    "first, threshold broken": Case(False, ["threshold_failed"], gate=ROC, metrics={"roc_auc": 0.69}),
    "an undefined metric breaks its threshold": Case(
        False, ["threshold_failed"], gate=ROC, metrics={"roc_auc": math.nan}
    ),
    "a loss below its limit": Case(True, ["first_model"], gate=BRIER, metrics={"brier": 0.1}),
    "a loss just on its limit": Case(True, ["first_model"], gate=BRIER, metrics={"brier": 0.2}),
    "a loss above its limit": Case(False, ["threshold_failed"], gate=BRIER, metrics={"brier": 0.3}),
    "two thresholds broken": Case(
        False,
        ["threshold_failed", "threshold_failed"],
        gate={"thresholds": {"roc_auc": 0.7, "brier": 0.2}},
        metrics={"roc_auc": 0.6, "brier": 0.3},
    ),
    "slices held": Case(True, ["first_model"], gate=SLICE, slices=[part("a", roc_auc=0.6), part("b", roc_auc=0.9)]),
    "one slice broken": Case(
        False,
        ["slice_threshold_failed"],
        gate=SLICE,
        slices=[part("a", roc_auc=0.59), part("b", roc_auc=0.9)],
    ),
    "a slice with just enough rows": Case(
        False, ["slice_threshold_failed"], gate=SLICE, slices=[part("a", 50, roc_auc=0.1)]
    ),
    "a slice with too few rows": Case(True, ["first_model"], gate=SLICE, slices=[part("a", 49, roc_auc=0.1)]),
    "a slice of one class": Case(True, ["first_model"], gate=SLICE, slices=[part("a", roc_auc=math.nan)]),
    "a slice's loss above its limit": Case(
        False,
        ["slice_threshold_failed"],
        gate={"slice_thresholds": {"log_loss": 0.5}},
        slices=[part("a", log_loss=0.51)],
    ),
    "replaced by a person": Case(True, ["champion_replaced"], REPLACED),
    "replaced by a person, threshold broken": Case(False, ["threshold_failed"], REPLACED, ROC, {"roc_auc": 0.5}),
    "no champion to load": Case(False, ["champion_unavailable"], GONE),
    "another schema": Case(False, ["schema_changed"], CHANGED),
    "another schema, threshold broken": Case(
        False, ["threshold_failed", "schema_changed"], CHANGED, ROC, {"roc_auc": 0.5}
    ),
    "better": Case(True, ["better"], BETTER),
    "better, threshold broken": Case(False, ["threshold_failed"], BETTER, ROC, {"roc_auc": 0.5}),
    "better, slice broken": Case(False, ["slice_threshold_failed"], BETTER, SLICE, slices=[part("a", roc_auc=0.5)]),
    "worse": Case(False, ["worse"], Gain(-0.01, -0.02, 0.0, 0.1)),
    "worse, though most resamples are better": Case(False, ["worse"], Gain(-0.0001, -0.01, 0.01, 0.95)),
    "worse, threshold broken": Case(
        False, ["threshold_failed", "worse"], Gain(-0.01, -0.02, 0.0, 0.1), ROC, {"roc_auc": 0.5}
    ),
    "the same model": Case(False, ["tie"], Gain(0.0, 0.0, 0.0, 1.0)),
    "the same score by other answers": Case(False, ["not_confident"], Gain(0.0, -0.01, 0.01, 0.5)),
    "below the margin": Case(False, ["below_margin"], Gain(0.009, 0.008, 0.012, 0.95), MARGIN),
    "just the margin": Case(True, ["better"], Gain(0.01, 0.01, 0.02, 0.95), MARGIN),
    "just confident": Case(True, ["better"], Gain(0.02, 0.01, 0.03, 0.9), MARGIN),
    "not confident": Case(False, ["not_confident"], Gain(0.02, 0.0, 0.04, 0.89), MARGIN),
    "an undefined gain": Case(False, ["not_confident"], Gain(math.nan, math.nan, math.nan, 0.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_gate_decides(name: str) -> None:
    case = CASES[name]
    decision = decide(case.metrics, case.slices, case.against, Gate(**case.gate))
    assert decision.accepted is case.accepted
    assert [reason.code for reason in decision.reasons] == case.codes
    assert all(reason.text for reason in decision.reasons)
    assert decision.gain == (case.against if isinstance(case.against, Gain) else None)
    thresholds = Gate(**case.gate).thresholds
    assert [check.name for check in decision.checks[: len(thresholds)]] == list(thresholds)


def test_every_check_is_kept_with_its_value_and_limit() -> None:
    gate = Gate(thresholds={"roc_auc": 0.7, "brier": 0.2}, slice_thresholds={"roc_auc": 0.6}, min_slice_rows=50)
    slices = [part("a", roc_auc=0.65), part("b", roc_auc=0.4), part("c", 10, roc_auc=0.1)]
    decision = decide({"roc_auc": 0.8, "brier": 0.25}, slices, FIRST, gate)
    assert [(c.name, c.value, c.limit, c.sign, c.passed) for c in decision.checks] == [
        ("roc_auc", 0.8, 0.7, "≥", True),
        ("brier", 0.25, 0.2, "≤", False),
        ("home=a roc_auc", 0.65, 0.6, "≥", True),
        ("home=b roc_auc", 0.4, 0.6, "≥", False),
    ]
    assert [reason.text for reason in decision.reasons] == [
        "brier is 0.2500, asked is ≤ 0.2.",
        "home=b roc_auc is 0.4000, asked is ≥ 0.6.",
    ]


def test_the_reason_tells_the_numbers() -> None:
    (reason,) = decide({}, [], Gain(0.02, -0.01, 0.05, 0.85), Gate(margin=0.005)).reasons
    for number in ("+0.0200", "-0.0100", "+0.0500", "0.0050", "85.0%", "90.0%"):
        assert number in reason.text


def test_the_bootstrap_is_weighed_around_the_exact_gain() -> None:
    resampled = np.linspace(-0.1, 0.1, 1001) + 0.5  # what binning changed: 0.5
    gain = summarize_gain(0.03, resampled, Gate(margin=0.0))
    assert gain.value == 0.03
    assert gain.low == pytest.approx(0.03 - 0.09)
    assert gain.high == pytest.approx(0.03 + 0.09)
    assert gain.confidence == pytest.approx(0.65, abs=0.002)
    assert summarize_gain(0.03, resampled, Gate(margin=0.08)).confidence == pytest.approx(0.25, abs=0.002)
