"""What to know before trusting a model or a decision: pure, numbers in, sentences out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from mlops.results import Label, Reason

if TYPE_CHECKING:
    from mlops.data.dataset import Dataset
    from mlops.evaluation.metrics import Predictions

# A threshold that calls at least this share of the rows hardly selects.
NEARLY_ALL: Final = 0.95
# One that calls fewer than one row for so many that there are misses nearly all.
NEARLY_NONE: Final = 20
# The standard error of a recall on 50 rows is at most 0.07: it is known to within 0.14.
ENOUGH_ROWS: Final = 50


def check_calls(p: Predictions, classes: Sequence[Label]) -> list[Reason]:
    """Say if the decision threshold calls nearly every row, or nearly none, the positive class."""
    if p.positive is None:
        return []
    rows, limit = len(p.truth), NEARLY_ALL * len(p.truth)
    called, true = int(np.sum(p.labels == p.positive)), int(np.sum(p.truth == p.positive))
    facts = (
        f"The decision threshold calls {called / rows:.1%} of the holdout rows "
        f"{classes[p.positive]!r}; {true / rows:.1%} are."
    )
    if called >= limit > true:
        text = (
            f"{facts} Its predicted class tells rows hardly apart. The threshold maximizes F1, "
            "which a weak model does by calling every row: use the probabilities, with a threshold "
            "of your own, or improve the model."
        )
        return [Reason(code="calls_nearly_all", text=text)]
    if called * NEARLY_NONE < true:
        text = (
            f"{facts} It misses nearly all of them. Training's rows were scored higher than the "
            "holdout's: check for leaks and overfitting, or use the probabilities with a threshold "
            "of your own."
        )
        return [Reason(code="calls_nearly_none", text=text)]
    return []


def check_class_counts(dataset: Dataset) -> list[Reason]:
    """Name each class with too few holdout rows to judge a model on, and the rows it would take."""
    total, share = len(dataset.target), float(dataset.holdout.mean())
    found = []
    for label in dataset.classes.tolist():
        held = int(np.sum(dataset.target[dataset.holdout] == label))
        rows = int(np.sum(dataset.target == label))
        if held >= ENOUGH_ROWS:
            continue
        needed = math.ceil(ENOUGH_ROWS * total / (rows * share) / 100) * 100
        text = (
            f"Class {label!r} has {rows - held:,} training and {held:,} holdout rows. With fewer "
            f"than {ENOUGH_ROWS} holdout rows, the share of them that a model finds is uncertain "
            f"by more than 0.14. It would take about {needed:,} rows in all, or a larger "
            "split.holdout."
        )
        found.append(Reason(code="rare_class", text=text))
    return found
