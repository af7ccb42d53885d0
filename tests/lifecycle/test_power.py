"""What the gate says of its power, against simulated holdouts of models whose true difference is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from conftest import Toy
from mlops.config import Gate
from mlops.evaluation.bootstrap import resampled_gains
from mlops.evaluation.gate import decide, summarize_gain
from mlops.evaluation.metrics import Predictions, gain_in, measure
from mlops.evaluation.power import describe_power, detectable_gain, false_wins
from mlops.lifecycle import last
from mlops.config import load_project
from mlops.results import Evaluation
from numpy.typing import NDArray

HOLDOUTS = 300
NOISES = (0.3, 0.8)  # of the better and the worse model's scores
POPULATION = 1_000_000


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


def gain(metric: str, models: tuple[Predictions, Predictions]) -> float:
    found = gain_in(metric, measure(models[0]), measure(models[1]))
    assert found is not None
    return found


@dataclass(frozen=True)
class Simulation:
    """Many holdouts: each one's gain and bootstrap, and the gain in the whole population."""

    metric: str
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
def simulate(metric: str, rows: int) -> Simulation:
    rng = np.random.default_rng(11)
    true = gain(metric, draw(POPULATION, 0.3, rng))
    holdouts = [draw(rows, 0.3, rng) for _ in range(HOLDOUTS)]
    resampled = [resampled_gains(*models, metric, seed) for seed, models in enumerate(holdouts)]
    return Simulation(metric, true, [gain(metric, models) for models in holdouts], resampled)


def two_errors(share: float) -> float:
    """Return two standard errors of a share of the simulated holdouts."""
    return float(2 * np.sqrt(share * (1 - share) / HOLDOUTS))


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95])
@pytest.mark.parametrize(("metric", "rows"), [("brier", 400), ("log_loss", 400), ("average_precision", 400)])
def test_the_stated_power_and_false_wins_are_those_of_simulated_holdouts(
    metric: str, rows: int, confidence: float
) -> None:
    seen = simulate(metric, rows)
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
