"""The smoke test: real rows, and the registered model's own answers to them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from mlops.errors import ReleaseError
from mlops.model.estimators import predicted_classes
from mlops.release.target import Answer

TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class SmokeRequest:
    """A request with one row, and the expected answer."""

    body: bytes
    label: Any
    probabilities: dict[str, float]


def make_smoke_requests(model: Path) -> list[SmokeRequest]:
    """Return a request for each example row saved with the model in the folder ``model``."""
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
        SmokeRequest(
            json.dumps({"input_data": [row]}).encode(),
            label,
            dict(zip(names, map(float, values), strict=True)),
        )
        for row, label, values in zip(rows, labels, probabilities, strict=True)
    ]


def send_smoke_requests(
    send: Callable[[bytes], Answer], requests: Sequence[SmokeRequest], version: int, count: int
) -> tuple[int, float]:
    """Send ``count`` requests, and check each answer that comes from ``version``.

    Returns
    -------
    own : int
        Answers that came from ``version``; the others only have to succeed.
    latency_ms : float
        Median latency of all answers.

    Raises
    ------
    ReleaseError
        An answer is missing, an error or wrong.
    """
    own = 0
    seconds = []
    for number in range(count):
        request = requests[number % len(requests)]
        answer = send(request.body)
        if answer.status != 200:
            text = answer.body[:300].decode("utf-8", errors="replace")
            raise ReleaseError(f"A valid row was answered with status {answer.status}: {text}")
        own += _check_answer(answer.body, request, version)
        seconds.append(answer.seconds)
    return own, statistics.median(seconds) * 1000


def _check_answer(body: bytes, request: SmokeRequest, version: int) -> bool:
    """Return whether ``version`` gave the answer; raise an error if it did and is wrong."""
    expected = request.probabilities
    try:
        content = json.loads(body)
        if int(content["model"]["version"]) != version:
            return False
        (prediction,) = content["predictions"]
        label, probabilities = prediction["label"], prediction["probabilities"]
        same = label == request.label and probabilities.keys() == expected.keys()
        gap = max(abs(probabilities[name] - expected.get(name, 0)) for name in probabilities)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReleaseError(f"An answer has an unknown format: {body[:300]!r}") from None
    if not same or gap > TOLERANCE:
        raise ReleaseError(
            f"An answer is wrong: {label} {probabilities}; the registered model predicts "
            f"{request.label} {expected}."
        )
    return True
