"""The gate's rule as a table: numbers in, decision out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from mlops.config import Gate
from mlops.evaluation.gate import decide, summarize_gain
from mlops.results import Gain, Reason, Slice, SliceMetrics

FIRST = Reason(code="first_model", text="There is no champion yet.")
REPLACED = Reason(code="champion_replaced", text="It was lost.")
GONE = Reason(code="champion_unavailable", text="It cannot be loaded.")
CHANGED = Reason(code="schema_changed", text="It needs other columns.")
UNDEFINED = Reason(code="not_confident", text="The metric is undefined.")


def gain(value: float, low: float, high: float, confidence: float) -> Gain:
    return Gain(value=value, low=low, high=high, confidence=confidence, detectable=0.01)


BETTER = gain(0.02, 0.01, 0.03, 0.99)


def part(value: str, rows: int = 100, **metrics: float | None) -> SliceMetrics:
    return SliceMetrics(slice=Slice(column="home", value=value), rows=rows, metrics=metrics)


@dataclass(frozen=True)
class Case:
    """A gate, what it judges, and the expected decision."""

    accepted: bool
    codes: list[str]
    against: Gain | Reason = FIRST
    gate: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    slices: list[SliceMetrics] = field(default_factory=list)


ROC: dict[str, Any] = {"thresholds": {"roc_auc": 0.7}}
BRIER: dict[str, Any] = {"thresholds": {"brier": 0.2}}
SLICE: dict[str, Any] = {"slice_thresholds": {"roc_auc": 0.6}, "min_slice_rows": 50}
MARGIN: dict[str, Any] = {"margin": 0.01, "confidence": 0.9}

CASES = {
    "first, no thresholds": Case(True, ["first_model"]),
    "first, threshold passed": Case(True, ["first_model"], gate=ROC, metrics={"roc_auc": 0.71}),
    "first, exactly on the threshold": Case(True, ["first_model"], gate=ROC, metrics={"roc_auc": 0.7}),
    "first, threshold failed": Case(False, ["threshold_failed"], gate=ROC, metrics={"roc_auc": 0.69}),
    "an undefined metric fails its threshold": Case(False, ["threshold_failed"], gate=ROC, metrics={"roc_auc": None}),
    "a loss below its limit": Case(True, ["first_model"], gate=BRIER, metrics={"brier": 0.1}),
    "a loss exactly on its limit": Case(True, ["first_model"], gate=BRIER, metrics={"brier": 0.2}),
    "a loss above its limit": Case(False, ["threshold_failed"], gate=BRIER, metrics={"brier": 0.3}),
    "two thresholds failed": Case(
        False,
        ["threshold_failed", "threshold_failed"],
        gate={"thresholds": {"roc_auc": 0.7, "brier": 0.2}},
        metrics={"roc_auc": 0.6, "brier": 0.3},
    ),
    "slices passed": Case(True, ["first_model"], gate=SLICE, slices=[part("a", roc_auc=0.6), part("b", roc_auc=0.9)]),
    "one slice failed": Case(
        False,
        ["slice_threshold_failed"],
        gate=SLICE,
        slices=[part("a", roc_auc=0.59), part("b", roc_auc=0.9)],
    ),
    "a slice with exactly enough rows": Case(
        False, ["slice_threshold_failed"], gate=SLICE, slices=[part("a", 50, roc_auc=0.1)]
    ),
    "a slice with too few rows": Case(True, ["first_model"], gate=SLICE, slices=[part("a", 49, roc_auc=0.1)]),
    "a slice of one class": Case(True, ["first_model"], gate=SLICE, slices=[part("a", roc_auc=None)]),
    "a slice's loss above its limit": Case(
        False,
        ["slice_threshold_failed"],
        gate={"slice_thresholds": {"log_loss": 0.5}},
        slices=[part("a", log_loss=0.51)],
    ),
    "replaced by a person": Case(True, ["champion_replaced"], REPLACED),
    "replaced by a person, threshold failed": Case(False, ["threshold_failed"], REPLACED, ROC, {"roc_auc": 0.5}),
    "champion cannot be loaded": Case(False, ["champion_unavailable"], GONE),
    "another schema": Case(False, ["schema_changed"], CHANGED),
    "another schema, threshold failed": Case(
        False, ["threshold_failed", "schema_changed"], CHANGED, ROC, {"roc_auc": 0.5}
    ),
    "better": Case(True, ["better"], BETTER),
    "better, threshold failed": Case(False, ["threshold_failed"], BETTER, ROC, {"roc_auc": 0.5}),
    "better, slice failed": Case(False, ["slice_threshold_failed"], BETTER, SLICE, slices=[part("a", roc_auc=0.5)]),
    "worse": Case(False, ["worse"], gain(-0.01, -0.02, 0.0, 0.1)),
    "worse, though most resamples are better": Case(False, ["worse"], gain(-0.0001, -0.01, 0.01, 0.95)),
    "worse, threshold failed": Case(
        False, ["threshold_failed", "worse"], gain(-0.01, -0.02, 0.0, 0.1), ROC, {"roc_auc": 0.5}
    ),
    "the same model": Case(False, ["tie"], gain(0.0, 0.0, 0.0, 1.0)),
    "the same score with other predictions": Case(False, ["not_confident"], gain(0.0, -0.01, 0.01, 0.5)),
    "below the margin": Case(False, ["below_margin"], gain(0.009, 0.008, 0.012, 0.95), MARGIN),
    "exactly the margin": Case(True, ["better"], gain(0.01, 0.01, 0.02, 0.95), MARGIN),
    "exactly confident": Case(True, ["better"], gain(0.02, 0.01, 0.03, 0.9), MARGIN),
    "not confident": Case(False, ["not_confident"], gain(0.02, 0.0, 0.04, 0.89), MARGIN),
    "an undefined gain": Case(False, ["not_confident"], UNDEFINED),
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
    assert [result.metric for result in decision.thresholds[: len(thresholds)]] == list(thresholds)


def test_every_threshold_is_kept_with_its_value_and_limit() -> None:
    gate = Gate(thresholds={"roc_auc": 0.7, "brier": 0.2}, slice_thresholds={"roc_auc": 0.6}, min_slice_rows=50)
    slices = [part("a", roc_auc=0.65), part("b", roc_auc=0.4), part("c", 10, roc_auc=0.1)]
    decision = decide({"roc_auc": 0.8, "brier": 0.25}, slices, FIRST, gate)
    assert [(c.slice, c.metric, c.value, c.limit, c.sign, c.passed) for c in decision.thresholds] == [
        (None, "roc_auc", 0.8, 0.7, "≥", True),
        (None, "brier", 0.25, 0.2, "≤", False),
        (slices[0].slice, "roc_auc", 0.65, 0.6, "≥", True),
        (slices[1].slice, "roc_auc", 0.4, 0.6, "≥", False),
    ]
    assert [reason.text for reason in decision.reasons] == [
        "brier is 0.2500; the threshold is ≤ 0.2.",
        "home=b roc_auc is 0.4000; the threshold is ≥ 0.6.",
    ]


def test_the_reason_contains_the_numbers() -> None:
    (reason,) = decide({}, [], gain(0.02, -0.01, 0.05, 0.85), Gate(margin=0.005)).reasons
    for number in ("+0.0200", "-0.0100", "+0.0500", "0.0050", "85.0%", "90.0%"):
        assert number in reason.text


def test_the_reason_says_when_a_metric_is_undefined() -> None:
    reasons = decide({"roc_auc": None}, [], FIRST, Gate(thresholds={"roc_auc": 0.75})).reasons
    assert [reason.text for reason in reasons] == ["roc_auc is undefined; the threshold is ≥ 0.75."]


def test_the_bootstrap_is_centred_on_the_exact_gain() -> None:
    resampled = np.linspace(-0.1, 0.1, 1001) + 0.5  # a bias of 0.5
    found = summarize_gain(0.03, resampled, Gate(margin=0.0))
    assert found.value == 0.03
    assert found.low == pytest.approx(0.03 - 0.09)
    assert found.high == pytest.approx(0.03 + 0.09)
    assert found.confidence == pytest.approx(0.65, abs=0.002)
    assert summarize_gain(0.03, resampled, Gate(margin=0.08)).confidence == pytest.approx(0.25, abs=0.002)
