"""Find a gate that nobody can pass, or that a model which has learned nothing passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlops.config import LOWER_IS_BETTER, Gate, Metric
from mlops.results import Evaluation, Reason


@dataclass(frozen=True)
class Weakness:
    """What is wrong with the gate, and the field of project.yml's ``gate`` that it is about."""

    code: str  # gate_passes_nobody, gate_passes_chance or gate_judges_no_slice
    field: tuple[str, ...]
    text: str
    fix: str


def find_weaknesses(gate: Gate, last: Evaluation | None = None) -> list[Weakness]:
    """Return what is wrong with a gate in itself, and on the data of the last evaluation."""
    found = [*_impossible(gate), *_chance(gate, last)]
    if gate.slice_thresholds and not gate.slices:
        text = "gate.slice_thresholds judge nothing: gate.slices names no column."
        fix = "Name columns in gate.slices, or remove the thresholds."
        found.append(Weakness("gate_judges_no_slice", ("slice_thresholds",), text, fix))
    if last:
        found += [*_out_of_reach(gate, last), *_small_slices(gate, last)]
    return found


def check_gate(gate: Gate, evaluation: Evaluation) -> list[Reason]:
    """Return the gate's weaknesses as notes on an evaluation."""
    return [
        Reason(code=weakness.code, text=f"{weakness.text} {weakness.fix}")
        for weakness in find_weaknesses(gate, evaluation)
    ]


def chance_level(metric: Metric, shares: Sequence[float]) -> float | None:
    """Return what a model reaches that knows only the classes' shares.

    Parameters
    ----------
    shares : sequence of float
        Of the positive class alone, or of each of more than two classes.

    Returns
    -------
    float or None
        None for F1 with more than two classes.
    """
    p = np.asarray(shares)
    every = np.append(p, 1 - p) if len(p) == 1 else p
    every = every[every > 0]
    match metric:
        case "roc_auc":
            return 0.5
        case "average_precision" | "precision":
            return float(p.mean())
        case "brier":
            return float(p[0] * (1 - p[0])) if len(p) == 1 else float(1 - np.square(p).sum())
        case "log_loss":
            return float(-(every * np.log(every)).sum())
        case "accuracy":
            return float(every.max())
        case "recall":
            return 1.0 if len(p) == 1 else 1 / len(p)
        case "f1":
            return float(2 * p[0] / (1 + p[0])) if len(p) == 1 else None
        case "calibration_error":
            return 0.0


def _impossible(gate: Gate) -> Iterator[Weakness]:
    """Find thresholds beyond what a metric can reach, or that only a perfect model reaches."""
    for field, limits in (
        ("thresholds", gate.thresholds),
        ("slice_thresholds", gate.slice_thresholds),
    ):
        for metric, limit in limits.items():
            low = metric in LOWER_IS_BETTER
            best = 0 if low else 1
            if limit < best if not low else limit > best:
                continue
            wanted = f"gate.{field} wants {metric} {'≤' if low else '≥'} {limit:g}"
            text = f"{wanted}, which only a perfect model reaches."
            if limit != best:
                text = f"{wanted}, but the best possible value is {best}: no model can pass."
            fix = "Set a limit that the last report's figures come near to."
            yield Weakness("gate_passes_nobody", (field, metric), text, fix)


def _chance(gate: Gate, last: Evaluation | None) -> Iterator[Weakness]:
    """Find a gate that lets a first model through that has learned nothing, or any challenger."""
    slices = gate.slice_thresholds if gate.slices else {}
    limits = [*gate.thresholds.items(), *slices.items()]
    fix = "Set a threshold of gate.metric between chance and the last report's figure."
    if not limits:
        text = "gate.thresholds is empty: a first model is registered however bad it is."
        yield Weakness("gate_passes_chance", ("thresholds",), text, fix)
    elif all(_is_chance(metric, limit, last) for metric, limit in limits):
        names = ", ".join(f"{metric} {limit:g}" for metric, limit in limits)
        text = f"A model that has learned nothing meets every threshold of the gate ({names})."
        yield Weakness("gate_passes_chance", ("thresholds",), text, fix)
    if gate.margin == 0 and gate.confidence == 0.5:
        text = (
            "gate.confidence 0.5 with gate.margin 0 lets every second challenger replace the "
            "champion that is no better."
        )
        fix = "Set confidence to 0.9 or more."
        yield Weakness("gate_passes_chance", ("confidence",), text, fix)


def _is_chance(metric: Metric, limit: float, last: Evaluation | None) -> bool:
    """Whether knowing the classes' shares is enough; without data, whether it always is."""
    if last is not None:
        total = sum(last.class_rows)
        shares = [rows / total for rows in last.class_rows]
        if last.positive is not None:
            shares = [shares[last.classes.index(last.positive)]]
        level = chance_level(metric, shares)
    else:
        level = {"roc_auc": 0.5, "calibration_error": 0.0}.get(metric)
    if level is None:
        return False
    return limit >= level if metric in LOWER_IS_BETTER else limit <= level


def _out_of_reach(gate: Gate, last: Evaluation) -> Iterator[Weakness]:
    """Find a champion so good that the gain the gate could notice is more than is left."""
    gain, champion = last.decision.gain, last.champion_metrics
    value = champion.get(gate.metric) if champion and gate.metric == last.gate_metric else None
    if gain is None or value is None:
        return
    left = value if gate.metric in LOWER_IS_BETTER else 1 - value
    if gain.detectable > left:
        text = (
            f"The gate notices a gain of {gain.detectable:.4f} in {gate.metric} four times of "
            f"five, but the champion, at {value:.4f}, leaves only {left:.4f} to gain: even a "
            "perfect model may be refused."
        )
        fix = "Hold out more rows, lower gate.margin, or judge by another metric."
        yield Weakness("gate_passes_nobody", ("margin",), text, fix)


def _small_slices(gate: Gate, last: Evaluation) -> Iterator[Weakness]:
    largest = max((part.rows for part in last.slices), default=0)
    if gate.slice_thresholds and gate.slices and 0 < largest < gate.min_slice_rows:
        text = (
            f"gate.slice_thresholds judge nothing: the largest slice has {largest:,} holdout rows, "
            f"gate.min_slice_rows is {gate.min_slice_rows:,}."
        )
        fix = "Lower gate.min_slice_rows, choose coarser slices, or hold out more rows."
        yield Weakness("gate_judges_no_slice", ("min_slice_rows",), text, fix)
