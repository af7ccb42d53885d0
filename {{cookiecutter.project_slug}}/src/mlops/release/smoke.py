"""Real rows with known answers, by which a deployed version proves itself."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlops.errors import ReleaseError
from mlops.model.labels import predicted_classes
from mlops.release.target import Answer

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Probe:
    """One row as a request, and what the registered model itself says of it."""

    body: bytes
    label: Any
    probabilities: dict[str, float]


def make_probes(model: Path) -> list[Probe]:
    """Probes from the example rows that were saved with the model in the folder ``model``."""
    import mlflow
    from mlflow.models import Model

    example = Model.load(str(model)).load_input_example(str(model))
    assert isinstance(example, pd.DataFrame)
    fitted = mlflow.sklearn.load_model(str(model))
    probabilities = fitted.predict_proba(example)
    labels = [fitted.classes_.tolist()[i] for i in predicted_classes(fitted, probabilities)]
    rows = json.loads(example.to_json(orient="records", double_precision=15))
    names = [str(label) for label in fitted.classes_]
    return [
        Probe(
            json.dumps({"input_data": [row]}).encode(),
            label,
            dict(zip(names, map(float, shares), strict=True)),
        )
        for row, label, shares in zip(rows, labels, probabilities, strict=True)
    ]


def check(
    send: Callable[[bytes], Answer],
    probes: Sequence[Probe],
    version: int,
    count: int,
    max_latency_ms: float,
) -> int:
    """Send ``count`` rows, and compare each answer that ``version`` gives.

    Returns
    -------
    int
        How many of the answers came from ``version``; the others only have to succeed.

    Raises
    ------
    ReleaseError
        An answer is missing, no success or wrong, or the median answer took too long.
    """
    ours = 0
    seconds = []
    for number in range(count):
        probe = probes[number % len(probes)]
        answer = send(probe.body)
        if answer.status != 200:
            text = answer.body[:300].decode("utf-8", errors="replace")
            raise ReleaseError(f"Status {answer.status} for a good row: {text}")
        if _compare(answer.body, probe, version):
            ours += 1
        seconds.append(answer.seconds)
    median = statistics.median(seconds) * 1000
    if median > max_latency_ms:
        raise ReleaseError(
            f"The median answer took {median:.0f} ms, allowed are {max_latency_ms:g} ms "
            "(serving.*.max_latency_ms)."
        )
    return ours


def _compare(body: bytes, probe: Probe, version: int) -> bool:
    """Whether ``version`` gave the answer; an error if it did and the answer is wrong."""
    try:
        content = json.loads(body)
        if int(content["model"]["version"]) != version:
            return False
        (prediction,) = content["predictions"]
        label, probabilities = prediction["label"], prediction["probabilities"]
        right = label == probe.label and probabilities.keys() == probe.probabilities.keys()
        gaps = [abs(probabilities[name] - probe.probabilities[name]) for name in probabilities]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReleaseError(f"An answer of an unknown form: {body[:300]!r}") from None
    if not right or max(gaps) > TOLERANCE:
        raise ReleaseError(
            f"A wrong answer: {label} {probabilities}, the registered model says {probe.label} "
            f"{probe.probabilities}."
        )
    return True
