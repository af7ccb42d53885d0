"""Decide whether a challenger may replace the champion: numbers in, decision out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlops.config import LOWER_IS_BETTER, Gate, Metric
from mlops.evaluation.power import detectable_gain
from mlops.results import (
    Comparison,
    Decision,
    Gain,
    Metrics,
    Reason,
    Slice,
    SliceMetrics,
    ThresholdResult,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Reasons for no comparison with a champion with which the thresholds alone decide.
UNOPPOSED = ("first_model", "champion_replaced")


def summarize_gain(value: float, resampled: NDArray[np.float64], gate: Gate) -> Gain:
    """Summarize the bootstrap, centred on the gain over the whole holdout."""
    gains = resampled + (value - resampled.mean())
    low, high = np.quantile(gains, [0.05, 0.95])
    return Gain(
        value=value,
        low=float(low),
        high=float(high),
        confidence=float(np.mean(gains >= gate.margin)),
        detectable=detectable_gain(float(gains.std()), gate),
    )


def decide(
    metrics: Metrics,
    slices: Sequence[SliceMetrics],
    against: Gain | Reason,
    gate: Gate,
    comparison: Comparison | None = None,
) -> Decision:
    """Apply the gate.

    The challenger is accepted if it meets every threshold, overall and in every slice with enough
    rows, and gains at least the margin over the champion with the required confidence.

    Parameters
    ----------
    against : Gain or Reason
        The gain over the champion, or why there is no comparison: first_model, champion_replaced
        (a person decided it), champion_unavailable, schema_changed or not_confident.
    comparison : Comparison, optional
        How the champion was compared; the reason says it where it is not the obvious.
    """
    thresholds = [_check(name, metrics[name], limit) for name, limit in gate.thresholds.items()]
    thresholds += [
        _check(name, value, limit, part.slice)
        for part in slices
        if part.rows >= gate.min_slice_rows
        for name, limit in gate.slice_thresholds.items()
        if (value := part.metrics[name]) is not None  # such as ROC AUC where all rows are one class
    ]
    failures = [_failure(result) for result in thresholds if not result.passed]
    if isinstance(against, Reason):
        reason, gain, passed = against, None, against.code in UNOPPOSED
    else:
        reason, gain = _compare(against, gate, comparison), against
        passed = reason.code == "better"
    accepted = passed and not failures
    if accepted or not passed:
        failures.append(reason)
    return Decision(
        accepted=accepted, reasons=tuple(failures), thresholds=tuple(thresholds), gain=gain
    )


def _check(
    metric: Metric, value: float | None, limit: float, part: Slice | None = None
) -> ThresholdResult:
    """Check one threshold; an undefined metric fails it."""
    met = value is not None and (value <= limit if metric in LOWER_IS_BETTER else value >= limit)
    return ThresholdResult(metric=metric, value=value, limit=limit, passed=met, slice=part)


def _failure(result: ThresholdResult) -> Reason:
    value = "undefined" if result.value is None else f"{result.value:.4f}"
    name = f"{result.slice} {result.metric}" if result.slice else result.metric
    return Reason(
        code="slice_threshold_failed" if result.slice else "threshold_failed",
        text=f"{name} is {value}; the threshold is {result.sign} {result.limit:g}.",
    )


def _compare(gain: Gain, gate: Gate, comparison: Comparison | None) -> Reason:
    numbers = (
        f"{gate.metric} gain {gain.value:+.4f} (90 % of resamples between {gain.low:+.4f} and "
        f"{gain.high:+.4f}), margin {gate.margin:.4f}"
    )
    sure = f"{gain.confidence:.1%} of resamples reach the margin, {gate.confidence:.1%} required"
    if gain.value == 0 and gain.low == gain.high == 0:
        code, text = "tie", f"It scores the same as the champion: {numbers}."
    elif gain.value < 0:
        code, text = "worse", f"It is worse than the champion: {numbers}."
    elif gain.value < gate.margin:
        code, text = "below_margin", f"Its gain is below the margin: {numbers}."
    elif gain.confidence < gate.confidence:
        code, text = "not_confident", f"Its gain may be chance: {numbers}; {sure}."
    else:
        code, text = "better", f"It is better than the champion: {numbers}; {sure}."
    unusual = comparison is not None and (comparison.how == "refitted" or comparison.seen)
    return Reason(code=code, text=f"{text} {comparison}" if unusual else text)
