"""Keep broken data from promoting its own model: numbers in, decision out.

A model that was trained on a broken column beats a champion that was not, on a holdout that is as
broken. What gives it away is that the champion has fallen, or that the column looks different.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.config import LOWER_IS_BETTER, Gate
from mlops.evaluation.bootstrap import figure, resampled_gains, standard_error
from mlops.evaluation.gate import summarize_gain
from mlops.evaluation.metrics import Predictions
from mlops.results import Decision, Reason, Shift

# A fall counts from this share of the champion's lead over guessing: it means the same in each
# metric and for rare classes, and is about 0.08 where an average precision of 0.7 leads 0.3.
LOST_LEAD: Final = 0.2
# Chance alone exceeds three standard errors about once in 700 evaluations. Both figures have one;
# that of the registered figure is taken to be today's.
SIGMAS: Final = 3 * np.sqrt(2)
# Where a column has moved this far, two rows of five or more, no comparison tells which model is
# right about it.
FAR_SHIFT: Final = 0.4
SHOWN: Final = 3


@dataclass(frozen=True)
class Champion:
    """The registered champion on today's holdout, and what it was when it was registered."""

    number: int
    registered: float | None  # its figure in the gate's metric
    predictions: Predictions
    shifts: Sequence[Shift]  # since its training; none if they are not known


def check_data(
    decision: Decision,
    challenger: Predictions,
    champion: Champion,
    gate: Gate,
    seed: int,
    accept: str = "",
) -> Decision:
    """Refuse the challenger if the data seems to have changed under the champion.

    Parameters
    ----------
    decision : Decision
        What the gate decides otherwise.
    accept : str
        Why a person accepts a change; "" accepts none.
    """
    who = f"The champion, version {champion.number},"
    if champion.registered is None:
        text = f"{who} has no registered {gate.metric}: a change of the data cannot be noticed."
        return _add(decision, Reason(code="data_not_compared", text=text))
    found = _find_change(decision, challenger, champion, champion.registered, gate, seed)
    if not found:
        if champion.shifts:
            return decision
        text = f"{who} was trained without a profile of its data: moved columns cannot be noticed."
        return _add(decision, Reason(code="data_not_compared", text=text))
    text = f"{who} {found} {_name_moved(champion.shifts)}"
    if accept:
        return _add(
            decision, Reason(code="data_change_accepted", text=f"{text} Accepted: {accept}")
        )
    advice = "Restore the data or, if the world has changed: mlops run --accept-data-change WHY"
    reason = Reason(code="data_changed", text=f"{text} {advice}")
    if gate.on_data_change == "warn":
        return _add(decision, reason)
    others = [] if decision.accepted else decision.reasons
    return decision.model_copy(update={"accepted": False, "reasons": (reason, *others)})


def _add(decision: Decision, reason: Reason) -> Decision:
    return decision.model_copy(update={"reasons": (*decision.reasons, reason)})


def _find_change(
    decision: Decision,
    challenger: Predictions,
    champion: Champion,
    registered: float,
    gate: Gate,
    seed: int,
) -> str:
    """Return what suggests a change of the data, or ""."""
    now = champion.predictions
    sign = -1 if gate.metric in LOWER_IS_BETTER else 1
    today = figure(now, gate.metric)
    fall = sign * (registered - today)
    figures = f"scores {gate.metric} {today:.4f} on this data, but {registered:.4f} when registered"
    lead = sign * (registered - figure(_guess(now), gate.metric))
    margin = LOST_LEAD * max(lead, 0.0)
    chance = SIGMAS * standard_error(now, gate.metric, seed)
    if fall > max(margin, chance):
        return (
            f"{figures}: a fall beyond chance ({chance:.4f}) and a fifth of its lead over guessing "
            f"({margin:.4f})."
        )
    moved = [shift for shift in champion.shifts if shift.notable]
    if not moved or not decision.accepted:
        return ""
    if moved[0].distance > FAR_SHIFT:
        return f"{figures}, and the data differs too much from its training to compare the models."
    if fall > 0 and not _wins_without(fall, challenger, now, gate, seed):
        return f"{figures}. Without that fall the gate would not accept the challenger."
    return ""


def _wins_without(
    fall: float, challenger: Predictions, champion: Predictions, gate: Gate, seed: int
) -> bool:
    """Return whether the challenger would win if the champion had not fallen."""
    gains = resampled_gains(challenger, champion, gate.metric, seed) - fall
    sign = -1 if gate.metric in LOWER_IS_BETTER else 1
    ours, theirs = figure(challenger, gate.metric), figure(champion, gate.metric)
    gain = summarize_gain(sign * (ours - theirs) - fall, gains, gate)
    return gain.value >= gate.margin and gain.confidence >= gate.confidence


def _guess(p: Predictions) -> Predictions:
    """Return the predictions of a model that only knows how frequent the classes are."""
    rows, classes = p.probabilities.shape
    shares = np.bincount(p.truth, minlength=classes) / rows
    return Predictions(p.truth, np.tile(shares, (rows, 1)), p.labels, p.positive)


def _name_moved(shifts: Sequence[Shift]) -> str:
    moved = [f"{s.column} ({s.moved})" for s in shifts if s.notable][:SHOWN]
    return f"Moved most: {', '.join(moved)}." if moved else "No column has moved notably."
