"""What the gate says of its power, against simulated holdouts of models whose true difference is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from conftest import Toy
from mlops.config import Gate, load_project
from mlops.evaluation.bootstrap import resampled_gains
from mlops.evaluation.gate import decide, summarize_gain
from mlops.evaluation.metrics import Predictions
from mlops.evaluation.power import describe_power, detectable_gain, false_wins
from mlops.lifecycle import last
from mlops.results import Evaluation
from numpy.typing import NDArray

HOLDOUTS = 300
NOISES = (0.3, 0.8)  # of the better and the worse model's scores
ROWS = 400
POPULATION = 2500 * ROWS


def draw(rows: int, share: float, rng: np.random.Generator) -> tuple[Predictions, Predictions]:
    """Draw rows, and what a better and a worse model say of them; their mistakes are partly shared."""
    truth = (rng.random(rows) < share).astype(int)
    shared = np.log(share / (1 - share)) + 1.5 * truth + rng.normal(size=rows)
    made = []
    for noise in NOISES:
        chance = 1 / (1 + np.exp(-shared - noise * rng.normal(size=rows)))
        shares = np.column_stack([1 - chance, chance])
        made.append(Predictions(truth, shares, shares.argmax(axis=1), 1))
    return made[0], made[1]


def scores(p: Predictions, metric: str, rows: int) -> NDArray[np.float64]:
    """Return the metric on each holdout of so many rows, larger is better, as scikit-learn has it."""
    chance, truth = p.probabilities[:, 1].reshape(-1, rows), p.truth.reshape(-1, rows)
    if metric == "brier":
        return -np.square(chance - truth).mean(axis=1)
    found = np.take_along_axis(truth, np.argsort(-chance, axis=1), axis=1)
    precision = found.cumsum(axis=1) / np.arange(1, rows + 1)
    return np.asarray((precision * found).sum(axis=1) / found.sum(axis=1))


@dataclass(frozen=True)
class Simulation:
    """Many holdouts: each one's gain and bootstrap, and the mean gain over far more of them."""

    true: float
    gains: list[float]
    resampled: list[NDArray[np.float64]]

    def wins(self, gate: Gate) -> float:
        """Return the share of the holdouts on which the gate accepts."""
        found = [summarize_gain(g, r, gate) for g, r in zip(self.gains, self.resampled, strict=True)]
        return float(np.mean([decide({}, [], each, gate).accepted for each in found]))

    def detectable(self, gate: Gate) -> float:
        """Return what the gate says it notices, on average over the holdouts."""
        found = [summarize_gain(g, r, gate) for g, r in zip(self.gains, self.resampled, strict=True)]
        return float(np.mean([each.detectable for each in found]))


@cache
def simulate(metric: str) -> Simulation:
    rng = np.random.default_rng(11)
    better, worse = draw(POPULATION, 0.3, rng)
    gains = scores(better, metric, ROWS) - scores(worse, metric, ROWS)
    rows = [slice(start, start + ROWS) for start in range(0, HOLDOUTS * ROWS, ROWS)]
    resampled = [resampled_gains(better[r], worse[r], metric, seed) for seed, r in enumerate(rows)]
    return Simulation(float(gains.mean()), gains[:HOLDOUTS].tolist(), resampled)


def two_errors(share: float) -> float:
    """Return two standard errors of a share of the simulated holdouts."""
    return float(2 * np.sqrt(share * (1 - share) / HOLDOUTS))


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("metric", ["brier", "average_precision"])
def test_the_stated_power_and_false_wins_are_those_of_simulated_holdouts(metric: Any, confidence: float) -> None:
    seen = simulate(metric)
    just = Gate(metric=metric, confidence=confidence, margin=seen.true)
    assert seen.wins(just) == pytest.approx(false_wins(just), abs=two_errors(false_wins(just)))
    # The gate for which the true gain is just the detectable one.
    beyond = seen.detectable(just) - seen.true
    noticing = Gate(metric=metric, confidence=confidence, margin=seen.true - beyond)
    assert seen.detectable(noticing) == pytest.approx(seen.true)
    assert seen.wins(noticing) == pytest.approx(0.8, abs=two_errors(0.8))


def test_more_rows_a_smaller_margin_and_less_confidence_notice_smaller_gains() -> None:
    gate = Gate(margin=0.01, confidence=0.9)
    assert detectable_gain(0.02, gate) == pytest.approx(0.01 + (1.2816 + 0.8416) * 0.02, abs=1e-5)
    assert detectable_gain(0.01, gate) < detectable_gain(0.02, gate)
    assert detectable_gain(0.02, Gate(margin=0.0, confidence=0.9)) < detectable_gain(0.02, gate)
    assert detectable_gain(0.02, Gate(margin=0.01, confidence=0.8)) < detectable_gain(0.02, gate)


def test_the_power_is_said_in_the_terminal_and_in_both_reports(toy: Toy) -> None:
    toy.mlops("run")
    first = last(load_project(toy.root), Evaluation)
    assert first.power == ""
    toy.set(model={"params": {"width": 2}})
    said = toy.mlops("run").output
    evaluation = last(load_project(toy.root), Evaluation)
    found = evaluation.decision.gain
    assert found is not None
    assert found.detectable > 0
    sentence = describe_power(found.detectable, evaluation.rows, load_project(toy.root).gate)
    assert f"true gain of {found.detectable:.4f} in average_precision four times of five" in sentence
    assert evaluation.power == sentence
    assert sentence in said
    for name in ("report.md", "report.html"):
        assert sentence in (toy.root / "outputs" / "report" / name).read_text("utf-8")
