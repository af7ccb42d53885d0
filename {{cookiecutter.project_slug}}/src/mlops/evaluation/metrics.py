"""The metrics by which models are judged, over all rows and per slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn import metrics as sk

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANKING = ("average_precision", "roc_auc")
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Predictions:
    """What a model says of rows whose class is known.

    Attributes
    ----------
    truth : int ndarray of shape (n_rows,)
        Index of each row's class.
    probabilities : float ndarray of shape (n_rows, n_classes)
    labels : int ndarray of shape (n_rows,)
        Index of the predicted class.
    positive : int or None
        Index of the class to detect; None with more than two classes.
    """

    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    positive: int | None

    def __getitem__(self, rows: NDArray[np.generic]) -> Predictions:
        return Predictions(
            self.truth[rows], self.probabilities[rows], self.labels[rows], self.positive
        )

    @property
    def judged(self) -> list[int]:
        """The classes that the one-against-the-rest metrics look at."""
        if self.positive is not None:
            return [self.positive]
        return list(range(self.probabilities.shape[1]))


def measure(p: Predictions) -> dict[str, float]:
    """All metrics; NaN where one is undefined, as a ranking is without both classes.

    With more than two classes the ranking metrics, F1, precision and recall are the plain mean
    over the classes, each against the rest; classes for which one is undefined are left out.
    """
    single = dict(zip(("precision", "recall", "f1"), _precision_recall_f1(p), strict=True))
    return {
        "average_precision": _mean_over_classes(p, sk.average_precision_score),
        "roc_auc": _mean_over_classes(p, sk.roc_auc_score),
        "log_loss": float(row_losses(p, "log_loss").mean()),
        "brier": float(row_losses(p, "brier").mean()),
        "calibration_error": calibration_error(p),
        "accuracy": float(np.mean(p.truth == p.labels)),
        **single,
    }


def row_losses(p: Predictions, metric: str) -> NDArray[np.float64]:
    """Each row's part of ``log_loss`` (nats) or ``brier`` (squared error), of shape (n_rows,).

    With two classes the Brier score is that of the positive class alone, from 0 to 1; with more
    it is the sum over the classes, from 0 to 2 (Brier 1950, Monthly Weather Review 78).
    """
    rows = np.arange(len(p.truth))
    if metric == "log_loss":
        return np.asarray(-np.log(np.clip(p.probabilities[rows, p.truth], 1e-15, 1.0)))
    if p.positive is not None:
        return np.asarray(np.square(p.probabilities[:, p.positive] - (p.truth == p.positive)))
    errors = np.square(p.probabilities).sum(axis=1) + 1 - 2 * p.probabilities[rows, p.truth]
    return np.asarray(errors)


def calibration_error(p: Predictions) -> float:
    """Expected calibration error over ten bins of equal size.

    The mean distance between predicted and observed share, of the positive class or, with more
    than two classes, of the predicted one (Naeini et al. 2015, AAAI; bins of equal size after
    Nguyen and O'Connor 2015, EMNLP).
    """
    bins = calibration_bins(p)
    return float(sum(abs(said - seen) * rows for said, seen, rows in bins) / len(p.truth))


def calibration_bins(p: Predictions) -> list[tuple[float, float, int]]:
    """Mean prediction, observed share and number of rows in bins of equal size, rising."""
    if p.positive is None:
        predicted, hit = p.probabilities.max(axis=1), p.truth == p.probabilities.argmax(axis=1)
    else:
        predicted, hit = p.probabilities[:, p.positive], p.truth == p.positive
    order = np.argsort(predicted, kind="stable")
    bins = np.array_split(order, min(CALIBRATION_BINS, len(order)))
    return [(float(predicted[b].mean()), float(hit[b].mean()), len(b)) for b in bins]


def measure_slices(
    p: Predictions, features: pd.DataFrame, slices: list[str | dict[str, list[float]]]
) -> list[dict[str, object]]:
    """The metrics within each value of some columns.

    Parameters
    ----------
    features : DataFrame of shape (n_rows, n_features)
        Of the same rows as ``p``.
    slices : list
        Column names, or ``{column: edges}`` to cut a numeric column.

    Returns
    -------
    list of dict
        Keys ``column``, ``value``, ``rows``, ``metrics``.
    """
    from fairlearn.metrics import MetricFrame

    found: list[dict[str, object]] = []
    for item in slices:
        column, values = slice_values(features, item)
        codes, names = pd.factorize(values)
        members = np.split(np.argsort(codes, kind="stable"), np.bincount(codes).cumsum()[:-1])
        # MetricFrame copies what it groups value by value: it gets one line per slice, its number.
        numbers = np.arange(len(names))
        frame = MetricFrame(
            metrics=_measure_slice(p, members),
            y_true=numbers,
            y_pred=numbers,
            sensitive_features=pd.Series(names, name=column),
        )
        for value, line in frame.by_group.items():
            found.append({"column": column, "value": str(value), **line})
    return found


def slice_values(
    features: pd.DataFrame, item: str | dict[str, list[float]]
) -> tuple[str, pd.Series]:
    """The column of a slice and each row's value of it as text, "missing" included."""
    if isinstance(item, str):
        values = features[item]
        return item, values.astype("string").fillna("missing").astype(object)
    ((column, edges),) = item.items()
    bounds = [-np.inf, *sorted(edges), np.inf]
    names = [f"up to {edges[0]:g}"]
    names += [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    names += [f"over {edges[-1]:g}"]
    cut = pd.cut(features[column], bounds, labels=names)
    return column, cut.astype("string").fillna("missing").astype(object)


def _mean_over_classes(p: Predictions, score: Callable[..., float]) -> float:
    parts = []
    for label in p.judged:
        truth = p.truth == label
        if truth.any() and not truth.all():
            parts.append(float(score(truth, p.probabilities[:, label])))
    return float(np.mean(parts)) if parts else float("nan")


def _precision_recall_f1(p: Predictions) -> tuple[float, float, float]:
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        p.truth, p.labels, labels=p.judged, average="macro", zero_division=np.nan
    )
    return float(precision), float(recall), float(f1)


def _measure_slice(
    p: Predictions, members: list[NDArray[np.int64]]
) -> Callable[[NDArray[np.int64], object], dict[str, object]]:
    def measured(numbers: NDArray[np.int64], _: object) -> dict[str, object]:
        if len(numbers) > 1:
            return {}  # MetricFrame also asks for all slices together, which is measured already
        rows = members[numbers[0]]
        return {"rows": len(rows), "metrics": measure(p[rows])}

    return measured
