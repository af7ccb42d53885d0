"""Measure how much worse a model gets when one of its columns is shuffled."""

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
    """The loss in a metric when a column is shuffled.

    Attributes
    ----------
    column : str
    mean : float
        In the metric's unit; positive means that the column helps, also for losses.
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

    All shuffles of a column are predicted at once: with a pipeline, each call costs more than its
    rows. scikit-learn's `permutation_importance` takes twice as long.

    Returns
    -------
    list of Importance
        One for each column, the most important first.
    """
    rng = np.random.default_rng(seed)
    rows = _sample(dataset, rng)
    copies = np.tile(rows, REPEATS)
    features, target = dataset.features.iloc[copies], dataset.target[copies]
    sample = replace(dataset, target=target, holdout=np.full(len(copies), True), groups=None)

    def scores(features: pd.DataFrame) -> NDArray[np.float64]:
        p = predict(model, replace(sample, features=features))
        return np.array(
            [_score(p[part], metric) for part in np.split(np.arange(len(copies)), REPEATS)]
        )

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evaluation has shown them
        best = scores(features)
        for column in features:
            shuffled = features.copy(deep=False)
            mixed = np.concatenate([rng.permutation(rows) for _ in range(REPEATS)])
            shuffled[column] = dataset.features[column].array[mixed]
            losses = best - scores(shuffled)
            found.append(Importance(str(column), float(losses.mean()), float(losses.std())))
    return sorted(found, key=lambda item: -item.mean)


def _score(p: Predictions, metric: GateMetric) -> float:
    """Return the metric, higher is better, over the classes that the rows contain."""
    if metric not in RANKING:
        return -float(row_losses(p, metric).mean())
    score = roc_auc_score if metric == "roc_auc" else average_precision_score
    held = [label for label in p.judged if 0 < np.count_nonzero(p.truth == label) < len(p.truth)]
    return float(np.mean([score(p.truth == label, p.probabilities[:, label]) for label in held]))


def _sample(dataset: Dataset, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return at most `ROWS` row numbers of the holdout, with every class in its proportion."""
    rows = rng.permutation(np.flatnonzero(dataset.holdout))
    rows = rows[np.argsort(dataset.target[rows], kind="stable")]
    chosen = np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).round().astype(int)
    return np.asarray(np.sort(rows[chosen]))
