"""Which columns a model leans on: how much worse it gets when one of them is shuffled."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from mlops.config import GateMetric
from mlops.data.dataset import Dataset
from mlops.evaluation.evaluate import predict
from mlops.evaluation.metrics import RANKING, Predictions, row_losses

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.base import ClassifierMixin

ROWS = 2000
REPEATS = 5


@dataclass(frozen=True)
class Importance:
    """What a metric loses when a column is shuffled.

    Attributes
    ----------
    column : str
    mean : float
        In the metric's own unit; positive means that the column helps, also for losses.
    spread : float
        Standard deviation over the repeats.
    """

    column: str
    mean: float
    spread: float


def permutation_importances(
    model: ClassifierMixin, dataset: Dataset, metric: GateMetric, seed: int
) -> list[Importance]:
    """Shuffle each column of (a sample of) the holdout and measure again (Breiman 2001).

    Returns
    -------
    list of Importance
        One for each column, the most important first.
    """
    from sklearn.inspection import permutation_importance

    rows = _sample(dataset, seed)

    def score(model: ClassifierMixin, X: pd.DataFrame, y: NDArray[np.generic]) -> float:
        every = np.ones(len(X), dtype=bool)
        sample = replace(dataset, features=X, target=y, holdout=every, groups=None)
        return _score(predict(model, sample), metric)

    X, y = dataset.features.iloc[rows], dataset.target[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evaluation has shown them already
        found = permutation_importance(
            model, X, y, scoring=score, n_repeats=REPEATS, random_state=seed
        )
    means, spreads = found.importances_mean, found.importances_std
    all_columns = [
        Importance(str(column), float(mean), float(spread))
        for column, mean, spread in zip(X, means, spreads, strict=True)
    ]
    return sorted(all_columns, key=lambda item: -item.mean)


def _score(p: Predictions, metric: GateMetric) -> float:
    """Return the metric with the sign that makes greater better, over the classes present."""
    if metric not in RANKING:
        return -float(row_losses(p, metric).mean())
    ranked = roc_auc_score if metric == "roc_auc" else average_precision_score
    held = [label for label in p.judged if 0 < np.count_nonzero(p.truth == label) < len(p.truth)]
    return float(np.mean([ranked(p.truth == label, p.probabilities[:, label]) for label in held]))


def _sample(dataset: Dataset, seed: int) -> NDArray[np.int64]:
    """At most `ROWS` row numbers of the holdout, with every class in its share."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(dataset.holdout))
    rows = rows[np.argsort(dataset.target[rows], kind="stable")]
    chosen = np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).round().astype(int)
    return np.asarray(np.sort(rows[chosen]))
