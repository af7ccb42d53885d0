"""How sure a gain is: a paired bootstrap whose cost hardly grows with the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from mlops.evaluation.metrics import RANKING, Predictions, row_losses

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 1000
BINS = 256
# Resamples drawn at once: their counts should fit into some tens of MB.
COUNTS_AT_ONCE = 4_000_000
# Drawn counts in all: beyond it, as with a million rows and many classes, fewer resamples do.
COUNTS_IN_ALL = 400_000_000


def resampled_gains(
    challenger: Predictions, champion: Predictions, metric: str, seed: int
) -> NDArray[np.float64]:
    """The challenger's gain in ``metric`` on resampled holdouts.

    Both models are scored on the same resample each time (a paired bootstrap). Scores are first
    put into bins between quantiles of each class, so that rows which fall into the same bins of
    both models form one cell; a resample then draws a Poisson count per cell instead of per row
    (Chamandy et al. 2012, "Estimating uncertainty for massive data streams").

    Parameters
    ----------
    challenger, champion : Predictions
        Of the same rows.
    metric : str
        average_precision, roc_auc, log_loss or brier.

    Returns
    -------
    float ndarray of shape (at most 1000,)
        Gains; positive where the challenger is better, also for losses.
    """
    rng = np.random.default_rng(seed)
    if metric in RANKING:
        return _ranking_gains(challenger, champion, metric, rng)
    return _loss_gains(row_losses(champion, metric) - row_losses(challenger, metric), rng)


def _loss_gains(gains: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Means of resampled per-row gains, from cells of nearly equal gains."""
    cells = np.array_split(np.sort(gains), min(4 * BINS, len(gains)))
    values = np.array([cell.mean() for cell in cells])
    sizes = np.array([len(cell) for cell in cells])
    counts = rng.poisson(sizes, size=(RESAMPLES, len(sizes)))
    return np.asarray(counts @ values / np.maximum(counts.sum(axis=1), 1))


def _ranking_gains(
    challenger: Predictions, champion: Predictions, metric: str, rng: np.random.Generator
) -> NDArray[np.float64]:
    classes = challenger.judged
    columns = [
        _bins(p.probabilities[:, label], p.truth == label) * 2 + (p.truth == label)
        for label in classes
        for p in (challenger, champion)
    ]
    columns, sizes = _cells(columns)
    resamples = int(np.clip(COUNTS_IN_ALL // (len(sizes) * len(columns)), 200, RESAMPLES))
    at_once = max(1, COUNTS_AT_ONCE // len(sizes))
    maps = [_indicator(column) for column in columns]
    gains: list[NDArray[np.float64]] = []
    for start in range(0, resamples, at_once):
        counts = rng.poisson(sizes, size=(min(at_once, resamples - start), len(sizes)))
        weights = counts.astype(np.float64)
        scores = [_score(weights @ to_bins, metric) for to_bins in maps]
        gains.append(np.mean(np.array(scores[0::2]) - np.array(scores[1::2]), axis=0))
    return np.concatenate(gains)


def _bins(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Bin numbers, rising with the score; as fine where the rarer class lies as elsewhere."""
    points = np.linspace(0, 1, BINS // 2)
    edges = [np.quantile(scores[rows], points) for rows in (positive, ~positive) if rows.any()]
    return np.searchsorted(np.unique(np.concatenate(edges)), scores, side="left")


def _cells(
    columns: list[NDArray[np.int64]],
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Merge rows that agree in all columns; returns their columns and how many rows each holds.

    More than two columns (many classes) seldom agree, and each row stays a cell.
    """
    if len(columns) > 2:
        return columns, np.ones(len(columns[0]), dtype=np.int64)
    base = int(columns[1].max()) + 1
    cells, sizes = np.unique(columns[0] * base + columns[1], return_counts=True)
    return [cells // base, cells % base], sizes


def _indicator(column: NDArray[np.int64]) -> csr_array:
    """Sparse matrix of shape (n_cells, 2 * n_bins) that sums cells into (bin, class)."""
    width = 2 * (int(column.max()) // 2 + 1)
    cells = np.arange(len(column))
    return csr_array((np.ones(len(column)), (cells, column)), shape=(len(column), width))


def _score(histogram: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """The metric of each resample from counts of shape (n_resamples, 2 * n_bins).

    The rows of one bin are a tie. Average precision and the area under the ROC curve are summed
    as scikit-learn sums them.
    """
    negatives, positives = histogram[:, ::2][:, ::-1], histogram[:, 1::2][:, ::-1]
    true_positives = positives.cumsum(axis=1)
    total = np.maximum(true_positives[:, -1], 1)
    if metric == "average_precision":
        predicted = np.maximum((positives + negatives).cumsum(axis=1), 1e-12)
        return np.asarray((positives * true_positives / predicted).sum(axis=1) / total)
    area = (negatives * (true_positives - positives / 2)).sum(axis=1)
    return np.asarray(area / (total * np.maximum(negatives.sum(axis=1), 1)))
