"""The bootstrap against the plain one, which selects the drawn rows and scores them by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mlops.evaluation.bootstrap import RESAMPLES, resampled_gains
from mlops.evaluation.metrics import Predictions
from sklearn import metrics as sk

METRICS = ["average_precision", "roc_auc", "log_loss", "brier"]
PLAIN = 60

Models = tuple[Predictions, Predictions]


def two_classes(rows: int, share: float = 0.3, seed: int = 0) -> Models:
    """A better and a worse model of the same rows; their mistakes are partly shared."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(rows) < share).astype(int)
    base = np.log(share / (1 - share))
    shared = 1.5 * truth + rng.normal(size=rows)
    scores = [base + shared + noise * rng.normal(size=rows) for noise in (0.3, 0.9)]
    made = []
    for score in scores:
        probability = 1 / (1 + np.exp(-score))
        shares = np.column_stack([1 - probability, probability])
        made.append(Predictions(truth, shares, shares.argmax(axis=1), 1))
    return made[0], made[1]


def three_classes(rows: int, seed: int = 0) -> Models:
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, p=[0.2, 0.3, 0.5], size=rows)
    shared = 1.5 * np.eye(3)[truth] + rng.normal(size=(rows, 3))
    made = []
    for noise in (0.3, 0.9):
        powers = np.exp(shared + noise * rng.normal(size=(rows, 3)))
        shares = powers / powers.sum(axis=1, keepdims=True)
        made.append(Predictions(truth, shares, shares.argmax(axis=1), None))
    return made[0], made[1]


def brier(truth: Any, shares: Any) -> float:
    errors = (shares - truth) ** 2 if shares.ndim == 1 else (shares - np.eye(3)[truth]) ** 2
    return float(errors.sum() / len(truth))


def loss(truth: Any, shares: Any) -> float:
    rest = np.column_stack([1 - shares, shares]) if shares.ndim == 1 else shares
    given = rest[np.arange(len(truth)), truth]
    return float(-np.log(given).mean())


def mean_precision(truth: Any, shares: Any) -> float:
    kinds = truth if shares.ndim == 1 else np.eye(3)[truth]
    return float(sk.average_precision_score(kinds, shares))


def auc(truth: Any, shares: Any) -> float:
    return float(sk.roc_auc_score(truth, shares, multi_class="ovr"))


SCORES: dict[str, Callable[[Any, Any], float]] = {
    "average_precision": mean_precision,
    "roc_auc": auc,
    "log_loss": loss,
    "brier": brier,
}


def plain_gains(models: Models, metric: str, seed: int) -> Any:
    """Draw rows with replacement, score both models on them, subtract; NaN where a class is not drawn."""
    rng = np.random.default_rng(seed)
    truth = models[0].truth
    shares = [m.probabilities if m.positive is None else m.probabilities[:, 1] for m in models]
    sign = 1 if metric in ("average_precision", "roc_auc") else -1
    gains = []
    for _ in range(PLAIN):
        rows = rng.integers(len(truth), size=len(truth))
        if set(truth[rows]) == set(truth):
            better, worse = (SCORES[metric](truth[rows], share[rows]) for share in shares)
            gains.append(sign * (better - worse))
        else:
            gains.append(np.nan)
    return np.array(gains)


def assert_plain(models: Models, metric: str) -> None:
    """Every resample's gain is the plain one, so no bias is too small to be seen."""
    plain = plain_gains(models, metric, seed=1)
    defined = ~np.isnan(plain)
    assert defined.sum() > PLAIN / 2
    fast = resampled_gains(*models, metric, seed=1)
    assert len(fast) == RESAMPLES
    np.testing.assert_allclose(fast[:PLAIN][defined], plain[defined], rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("models", [two_classes(1500), three_classes(900)], ids=["two", "three"])
def test_each_gain_is_that_of_the_plain_bootstrap(models: Models, metric: str) -> None:
    assert_plain(models, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_a_rare_class_agrees_with_the_plain_bootstrap(metric: str) -> None:
    models = two_classes(3000, share=0.012)
    assert 20 < models[0].truth.sum() < 60
    assert_plain(models, metric)


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc", "brier"])
def test_tied_scores_agree_with_the_plain_bootstrap(metric: str) -> None:
    """As those of a small tree: nearly all rows of the challenger are tied."""
    fine, other = two_classes(1000)
    tied = Predictions(fine.truth, (fine.probabilities > 0.5).astype(float), fine.labels, 1)
    assert_plain((tied, other), metric)


def test_the_gains_centre_on_the_gain_over_all_rows() -> None:
    """Also with few positive rows among many, where fewer resamples are drawn."""
    better, worse = two_classes(60_000, share=0.002)
    scores = [mean_precision(m.truth, m.probabilities[:, 1]) for m in (better, worse)]
    fast = resampled_gains(better, worse, "average_precision", seed=1)
    assert 200 < len(fast) < RESAMPLES
    assert abs(fast.mean() - (scores[0] - scores[1])) < 0.3 * fast.std()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("models", [two_classes(1500), three_classes(900)], ids=["two", "three"])
def test_identical_models_gain_exactly_nothing(metric: str, models: Models) -> None:
    assert (resampled_gains(models[0], models[0], metric, seed=1) == 0).all()


@pytest.mark.parametrize("metric", METRICS)
def test_the_seed_decides_and_the_sides_mirror(metric: str) -> None:
    better, worse = two_classes(1500)
    gains = resampled_gains(better, worse, metric, seed=1)
    assert (gains == resampled_gains(better, worse, metric, seed=1)).all()
    assert not (gains == resampled_gains(better, worse, metric, seed=2)).all()
    assert gains.mean() > 0
    swapped = resampled_gains(worse, better, metric, seed=1)
    assert swapped.mean() == pytest.approx(-gains.mean(), abs=5 * gains.std() * np.sqrt(2 / RESAMPLES))


def test_a_handful_of_rows_suffices() -> None:
    better, worse = two_classes(4, share=0.5, seed=3)
    assert len(np.unique(better.truth)) == 2
    for metric in METRICS:
        assert np.isfinite(resampled_gains(better, worse, metric, seed=1)).all()
