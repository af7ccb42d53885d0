"""Compute the metrics that models are judged by, over all rows and per slice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from mlops.config import LOWER_IS_BETTER
from mlops.results import Metrics, Slice, SliceMetrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANKING = ("average_precision", "roc_auc")
CALIBRATION_BINS = 10
EPSILON = np.finfo(np.float64).eps  # where scikit-learn clips log loss


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for rows whose class is known; classes are indices."""

    truth: NDArray[np.int64]  # the class of each row
    probabilities: NDArray[np.float64]  # of shape (n_rows, n_classes)
    labels: NDArray[np.int64]  # the predicted class of each row
    positive: int | None  # the class to detect; None with more than two classes

    def __getitem__(self, rows: NDArray[np.generic]) -> Predictions:
        return Predictions(
            self.truth[rows], self.probabilities[rows], self.labels[rows], self.positive
        )

    @property
    def judged(self) -> list[int]:
        """The classes that one-against-the-rest metrics are computed for."""
        if self.positive is not None:
            return [self.positive]
        return list(range(self.probabilities.shape[1]))


def measure(p: Predictions) -> dict[str, float | None]:
    """Return all metrics; None where one is undefined, as a ranking is without both classes.

    With more than two classes the ranking metrics, F1, precision and recall are the plain mean
    over the classes, each against the rest, without those for which one is undefined.
    """
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        p.truth, p.labels, labels=p.judged, average="macro", zero_division=np.nan
    )
    metrics = {
        "average_precision": _mean_over_classes(p, sk.average_precision_score),
        "roc_auc": _mean_over_classes(p, sk.roc_auc_score),
        "log_loss": float(row_losses(p, "log_loss").mean()),
        "brier": float(row_losses(p, "brier").mean()),
        "calibration_error": calibration_error(p),
        "accuracy": float(np.mean(p.truth == p.labels)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def gain_in(metric: str, challenger: Metrics, champion: Metrics) -> float | None:
    """Return the challenger's gain in ``metric``: positive is better, also for losses."""
    ours, theirs = challenger[metric], champion[metric]
    if ours is None or theirs is None:
        return None
    return theirs - ours if metric in LOWER_IS_BETTER else ours - theirs


def row_losses(p: Predictions, metric: str) -> NDArray[np.float64]:
    """Return each row's ``log_loss`` (nats) or ``brier`` (squared error), of shape (n_rows,).

    With two classes the Brier score is that of the positive class alone, from 0 to 1; with more
    it is the sum over the classes, from 0 to 2 (Brier 1950, Monthly Weather Review 78).
    """
    rows = np.arange(len(p.truth))
    if metric == "log_loss":
        return np.asarray(-np.log(np.maximum(p.probabilities[rows, p.truth], EPSILON)))
    if p.positive is not None:
        return np.asarray(np.square(p.probabilities[:, p.positive] - (p.truth == p.positive)))
    errors = np.square(p.probabilities).sum(axis=1) + 1 - 2 * p.probabilities[rows, p.truth]
    return np.asarray(errors)


def calibration_error(p: Predictions) -> float:
    """Return the expected calibration error over ten bins of equal size.

    The mean distance between predicted probability and observed fraction, of the positive class
    or, with more than two classes, of the predicted one (Naeini et al. 2015, AAAI; bins of equal
    size after Nguyen and O'Connor 2015, EMNLP).
    """
    gaps = [abs(predicted - observed) * rows for predicted, observed, rows in calibration_bins(p)]
    return sum(gaps) / len(p.truth)


def calibration_bins(p: Predictions) -> list[tuple[float, float, int]]:
    """Return mean prediction, observed fraction and number of rows of bins of equal size."""
    if p.positive is None:
        predicted, hit = p.probabilities.max(axis=1), p.truth == p.probabilities.argmax(axis=1)
    else:
        predicted, hit = p.probabilities[:, p.positive], p.truth == p.positive
    order = np.argsort(predicted, kind="stable")
    bins = np.array_split(order, min(CALIBRATION_BINS, len(order)))
    return [(float(predicted[b].mean()), float(hit[b].mean()), len(b)) for b in bins]


def measure_slices(
    p: Predictions, features: pd.DataFrame, slices: Sequence[str | dict[str, list[float]]]
) -> tuple[SliceMetrics, ...]:
    """Return the metrics within each value of some columns.

    Parameters
    ----------
    features : DataFrame
        Of the same rows as ``p``.
    slices : sequence
        Column names, or ``{column: edges}`` to cut a numeric column.
    """
    return tuple(
        SliceMetrics(
            slice=Slice(column=str(values.name), value=str(value)),
            rows=len(rows),
            metrics=measure(p[np.asarray(rows)]),
        )
        for values in (slice_values(features, item) for item in slices)
        for value, rows in values.groupby(values, observed=True).indices.items()
    )


def slice_values(features: pd.DataFrame, item: str | dict[str, list[float]]) -> pd.Series:
    """Return each row's value of a slice's column as text, or "missing"."""
    if isinstance(item, str):
        return features[item].convert_dtypes().astype("string").fillna("missing")  # 1, not 1.0
    ((column, edges),) = item.items()
    bounds = [-np.inf, *edges, np.inf]
    shown = [f"{edge:.10g}" for edge in edges]
    names = [f"up to {shown[0]}", *map(" to ".join, pairwise(shown)), f"over {shown[-1]}"]
    cut = pd.cut(features[column], bounds, labels=names)
    return cut.cat.add_categories("missing").fillna("missing")


def _mean_over_classes(p: Predictions, score: Callable[..., float]) -> float:
    parts = []
    for label in p.judged:
        truth = p.truth == label
        if truth.any() and not truth.all():
            parts.append(float(score(truth, p.probabilities[:, label])))
    return float(np.mean(parts)) if parts else math.nan
