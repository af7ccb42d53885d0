"""How large a gain the gate would notice: its power, and its rate of false wins."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mlops.config import Gate

POWER: Final = 0.8  # four times of five, as is customary (Cohen 1988)


def detectable_gain(error: float, gate: Gate) -> float:
    """Return the smallest true gain that the gate notices four times of five.

    The gate accepts an observed gain whose lower bound, ``z(confidence)`` standard errors below
    it, reaches the margin. The observed gain in turn falls ``z(0.8)`` standard errors below the
    true one, or less, four times of five.

    Parameters
    ----------
    error : float
        The standard error of the gain: the standard deviation of its bootstrap.
    """
    z = NormalDist().inv_cdf
    return gate.margin + (z(gate.confidence) + z(POWER)) * error


def false_wins(gate: Gate) -> float:
    """Return how often a challenger passes whose true gain is just the margin."""
    return 1 - gate.confidence


def describe_power(detectable: float, rows: int, gate: Gate) -> str:
    """Say in a sentence what the gate can see on a holdout of so many rows."""
    return (
        f"On {rows:,} holdout rows the gate notices a true gain of {detectable:.4f} in "
        f"{gate.metric} four times of five; one of exactly the margin, {gate.margin:.4f}, passes "
        f"by chance {false_wins(gate):.1%} of the time."
    )
