"""Gates that nobody can pass, or that a model passes which has learned nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Toy, make_evaluation
from hypothesis import given
from hypothesis import strategies as st
from mlops.config import Gate, Metric, load_project
from mlops.evaluation.metrics import Predictions, measure
from mlops.evaluation.weakness import chance_level, find_weaknesses
from mlops.lifecycle import last
from mlops.results import Decision, Evaluation, Gain, Slice, SliceMetrics

GOOD: dict[str, Any] = {"thresholds": {"roc_auc": 0.75}}
SLICED: dict[str, Any] = {**GOOD, "slices": ["home"], "slice_thresholds": {"roc_auc": 0.6}}


def evaluation(champion: float = 0.7, detectable: float = 0.05, slice_rows: int = 100) -> Evaluation:
    """An evaluation on 1,000 holdout rows of which 280 are bad."""
    gain = Gain(value=0.01, low=0.0, high=0.02, confidence=0.9, detectable=detectable)
    part = SliceMetrics(slice=Slice(column="home", value="own"), rows=slice_rows, metrics={})
    return make_evaluation(
        slices=(part,),
        champion=1,
        champion_metrics={"average_precision": champion},
        decision=Decision(accepted=True, reasons=(), thresholds=(), gain=gain),
        class_rows=(280, 720),
    )


@pytest.mark.parametrize(
    ("gate", "seen", "codes"),
    [
        (GOOD, None, []),
        (SLICED, evaluation(), []),
        ({}, None, ["gate_passes_chance"]),
        ({"thresholds": {"roc_auc": 1.01}}, None, ["gate_passes_nobody"]),
        ({"thresholds": {"roc_auc": 1.0}}, None, ["gate_passes_nobody"]),
        ({"thresholds": {"roc_auc": 0.99}}, None, []),
        ({"thresholds": {"brier": 0.0}}, None, ["gate_passes_nobody"]),
        ({"thresholds": {"log_loss": -1}}, None, ["gate_passes_nobody"]),
        ({**SLICED, "slice_thresholds": {"recall": 2}}, None, ["gate_passes_nobody"]),
        ({"thresholds": {"roc_auc": 0.5}}, None, ["gate_passes_chance"]),
        ({"thresholds": {"roc_auc": 0.51}}, None, []),
        ({"thresholds": {"average_precision": 0.28}}, None, []),
        ({"thresholds": {"average_precision": 0.28}}, evaluation(), ["gate_passes_chance"]),
        ({"thresholds": {"average_precision": 0.29}}, evaluation(), []),
        ({"thresholds": {"brier": 0.2}}, evaluation(), []),
        ({"thresholds": {"brier": 0.2017}}, evaluation(), ["gate_passes_chance"]),
        ({"thresholds": {"log_loss": 0.6}}, evaluation(), ["gate_passes_chance"]),
        ({"thresholds": {"accuracy": 0.72}}, evaluation(), ["gate_passes_chance"]),
        ({"thresholds": {"accuracy": 0.72, "roc_auc": 0.7}}, evaluation(), []),  # the other one holds
        ({**GOOD, "confidence": 0.5}, None, ["gate_passes_chance"]),
        ({**GOOD, "confidence": 0.5, "margin": 0.01}, None, []),
        (GOOD, evaluation(champion=0.98), ["gate_passes_nobody"]),
        (GOOD, evaluation(champion=0.94), []),
        ({**GOOD, "slice_thresholds": {"roc_auc": 0.6}}, None, ["gate_judges_no_slice"]),
        (SLICED, evaluation(slice_rows=49), ["gate_judges_no_slice"]),
        (SLICED, evaluation(slice_rows=50), []),
    ],
)
def test_a_weak_gate_is_found(gate: dict[str, Any], seen: Evaluation | None, codes: list[str]) -> None:
    assert [found.code for found in find_weaknesses(Gate(**gate), seen)] == codes


@pytest.mark.parametrize("metric", ["brier", "log_loss", "accuracy"])
@given(counts=st.lists(st.integers(1, 60), min_size=2, max_size=5))
def test_the_level_of_chance_is_that_of_a_constant_prediction(metric: Metric, counts: list[int]) -> None:
    truth = np.repeat(np.arange(len(counts)), counts)
    shares = np.array(counts) / sum(counts)
    positive = 1 if len(counts) == 2 else None
    labels = np.full(len(truth), shares.argmax())
    constant = Predictions(truth, np.tile(shares, (len(truth), 1)), labels, positive)
    level = chance_level(metric, [shares[1]] if positive else shares.tolist())
    assert measure(constant)[metric] == pytest.approx(level)


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc"])
@given(counts=st.lists(st.integers(1, 60), min_size=2, max_size=5))
def test_a_constant_ranking_is_chance(metric: Metric, counts: list[int]) -> None:
    truth = np.repeat(np.arange(len(counts)), counts)
    shares = np.array(counts) / sum(counts)
    positive = 1 if len(counts) == 2 else None
    constant = Predictions(truth, np.tile(shares, (len(truth), 1)), truth, positive)
    level = chance_level(metric, [shares[1]] if positive else shares.tolist())
    assert measure(constant)[metric] == pytest.approx(level)


def test_terminal_and_report_say_that_a_gate_passes_chance(toy: Toy) -> None:
    assert "gate_passes" not in toy.mlops("run").output
    toy.set(gate={"thresholds": {"roc_auc": 0.5}})
    said = toy.mlops("run", "--replace-champion", "a test").output
    assert "Note (gate_passes_chance): A model that has learned nothing meets every threshold" in said
    notes = last(load_project(toy.root), Evaluation).notes
    assert [note.code for note in notes] == ["gate_passes_chance"]
    for name in ("report.md", "report.html"):
        assert "gate_passes_chance" in (toy.root / "outputs" / "report" / name).read_text("utf-8")
