"""How certain a gain is: a paired bootstrap over the holdout's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlops.config import LOWER_IS_BETTER
from mlops.evaluation.metrics import RANKING, Predictions, row_losses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Score = Callable[[NDArray[np.int64]], float]

RESAMPLES = 1000
# Beyond 50,000 rows fewer resamples are drawn, so that the time hardly grows up to 250,000.
FEWEST_RESAMPLES = 200
DRAWS = 50_000_000
# A standard error needs fewer: 50 resamples give it within a tenth.
ERROR_DRAWS = 5_000_000
FEWEST_FOR_ERROR = 50


def resampled_gains(
    challenger: Predictions, champion: Predictions, metric: str, seed: int
) -> NDArray[np.float64]:
    """Return the challenger's gain in ``metric`` on resampled holdouts.

    Each resample draws as many rows as there are, with replacement, and scores both models on
    them (Efron and Tibshirani 1993, "An Introduction to the Bootstrap").

    Parameters
    ----------
    challenger, champion : Predictions
        Of the same rows.
    metric : str
        average_precision, roc_auc, log_loss or brier.

    Returns
    -------
    float ndarray of shape (n_resamples,)
        1,000 gains, or at least 200 beyond 50,000 rows; positive where the challenger is better,
        also for losses.
    """
    ours, theirs = _score(challenger, metric), _score(champion, metric)
    rows = len(challenger.truth)
    resamples = int(np.clip(DRAWS // rows, FEWEST_RESAMPLES, RESAMPLES))
    return np.array([ours(drawn) - theirs(drawn) for drawn in _resample(rows, resamples, seed)])


def figure(p: Predictions, metric: str) -> float:
    """Return a metric of the gate, as `measure` does; each class must have a row."""
    value = _score(p, metric)(np.ones(len(p.truth), dtype=np.int64))
    return -value if metric in LOWER_IS_BETTER else value


def standard_error(p: Predictions, metric: str, seed: int) -> float:
    """Return how much a metric varies with the rows of the holdout (bootstrap)."""
    rows, score = len(p.truth), _score(p, metric)
    resamples = int(np.clip(ERROR_DRAWS // rows, FEWEST_FOR_ERROR, FEWEST_RESAMPLES))
    return float(np.std([score(drawn) for drawn in _resample(rows, resamples, seed)]))


def _resample(rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each row was drawn."""
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(rng.integers(rows, size=rows), minlength=rows)


def _score(p: Predictions, metric: str) -> Score:
    return _ranking_score(p, metric) if metric in RANKING else _loss_score(p, metric)


def _loss_score(p: Predictions, metric: str) -> Score:
    losses = row_losses(p, metric)
    return lambda counts: -float(counts @ losses) / len(losses)


def _ranking_score(p: Predictions, metric: str) -> Score:
    scores = [
        _one_class_score(p.probabilities[:, label], p.truth == label, metric) for label in p.judged
    ]
    return lambda counts: sum(score(counts) for score in scores) / len(scores)


def _one_class_score(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], metric: str
) -> Score:
    """Sort the rows once; each resample then only sums how often each was drawn.

    Rows with equal scores are a tie. Both metrics are summed as scikit-learn sums them.
    """
    order = np.argsort(-scores)
    positive, scores = positive[order], scores[order]
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))

    def score(counts: NDArray[np.int64]) -> float:
        drawn = counts[order]
        predicted = drawn.cumsum()[ends]
        true = (drawn * positive).cumsum()[ends]
        new_true = np.diff(true, prepend=0)
        if metric == "average_precision":
            parts = new_true * (true / np.maximum(predicted, 1))
            return float(parts.sum() / max(true[-1], 1))
        false = predicted - true
        area = (np.diff(false, prepend=0) * (true - new_true / 2)).sum()
        return float(area / max(true[-1] * false[-1], 1))

    return score
