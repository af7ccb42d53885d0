"""The rule by which a challenger replaces the champion. Pure: numbers in, decision out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.config import LOWER_IS_BETTER, Gate

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Check:
    """One line of the gate: a metric, its value, its limit, and whether it held."""

    name: str
    value: float
    limit: float
    passed: bool

    @property
    def sign(self) -> str:
        return "≤" if self.name.rsplit(" ", 1)[-1] in LOWER_IS_BETTER else "≥"


@dataclass(frozen=True)
class Reason:
    """Why the gate decided as it did: a code for programs, a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Gain:
    """The challenger's gain over the champion in the gate's metric.

    Attributes
    ----------
    value : float
        On the whole holdout; positive is better, also for losses.
    low, high : float
        The middle 90 % of the bootstrap.
    confidence : float
        Share of the resamples in which the gain is at least the margin.
    """

    value: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Decision:
    """What the gate says, and by which checks and reasons."""

    accepted: bool
    reasons: tuple[Reason, ...]
    checks: tuple[Check, ...]
    gain: Gain | None


@dataclass(frozen=True)
class NoChampion:
    """Why there is no champion's score to compare with.

    Attributes
    ----------
    code : str
        first_model, champion_replaced (a person said so), champion_unavailable or schema_changed.
    """

    code: str
    text: str

    @property
    def blocks(self) -> bool:
        """A champion that exists but can't be compared is no reason to let anything pass."""
        return self.code in ("champion_unavailable", "schema_changed")


def summarize_gain(value: float, resampled: NDArray[np.float64], gate: Gate) -> Gain:
    """Summarise the bootstrap around the exact gain ``value``.

    The resampled gains are shifted by what binning changed, so their mean is the exact gain.
    """
    gains = resampled + (value - float(resampled.mean()))
    low, high = np.quantile(gains, [0.05, 0.95])
    return Gain(value, float(low), float(high), float(np.mean(gains >= gate.margin)))


def decide(
    metrics: Mapping[str, float],
    slices: Sequence[Mapping[str, Any]],
    against: Gain | NoChampion,
    gate: Gate,
) -> Decision:
    """Apply the gate.

    The challenger passes if every threshold holds, overall and in every slice with enough rows, and
    its gain over the champion is at least the margin with the asked confidence. Without a
    champion the thresholds alone decide.

    Parameters
    ----------
    metrics : mapping of metric name to the challenger's value
    slices : sequence of mappings with ``column``, ``value``, ``rows`` and ``metrics``
    against : Gain or NoChampion
    """
    checks = [_check(name, metrics[name], limit) for name, limit in gate.thresholds.items()]
    broken = [Reason("threshold_failed", _sentence(c)) for c in checks if not c.passed]
    for part in slices:
        if part["rows"] < gate.min_slice_rows:
            continue
        values = part["metrics"]
        for name, limit in gate.slice_thresholds.items():
            if math.isnan(values[name]):
                continue  # a slice of one class has no ranking to judge
            check = _check(f"{part['column']}={part['value']} {name}", values[name], limit)
            checks.append(check)
            if not check.passed:
                broken.append(Reason("slice_threshold_failed", _sentence(check)))
    if isinstance(against, NoChampion):
        reason, gain = Reason(against.code, against.text), None
        passed = not against.blocks
    else:
        reason, gain = _compare(against, gate), against
        passed = reason.code == "better"
    accepted = passed and not broken
    shown = (reason,) if accepted or not passed else ()
    return Decision(accepted, (*broken, *shown), tuple(checks), gain)


def _compare(gain: Gain, gate: Gate) -> Reason:
    numbers = (
        f"{gate.metric} gain {gain.value:+.4f} (90 % of resamples within {gain.low:+.4f} and "
        f"{gain.high:+.4f}), margin {gate.margin:.4f}"
    )
    if gain.value == 0 and gain.low == gain.high == 0:
        return Reason("tie", f"It scores exactly as the champion does: {numbers}.")
    if gain.value < 0:
        return Reason("worse", f"It is worse than the champion: {numbers}.")
    if gain.value < gate.margin:
        return Reason("below_margin", f"It gains too little on the champion: {numbers}.")
    sure = f"{gain.confidence:.1%} of resamples reach the margin, {gate.confidence:.1%} asked"
    if gain.confidence < gate.confidence:
        return Reason("not_confident", f"Its gain may be chance: {numbers}; {sure}.")
    return Reason("better", f"It is better than the champion: {numbers}; {sure}.")


def _check(name: str, value: float, limit: float) -> Check:
    metric = name.rsplit(" ", 1)[-1]
    passed = value <= limit if metric in LOWER_IS_BETTER else value >= limit
    return Check(name, value, limit, passed)


def _sentence(check: Check) -> str:
    return f"{check.name} is {check.value:.4f}, asked is {check.sign} {check.limit:g}."
