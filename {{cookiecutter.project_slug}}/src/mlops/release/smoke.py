"""The smoke test: real rows, and the registered model's own answers to them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from mlops.data.rows import inputs_of, read
from mlops.errors import ReleaseError
from mlops.model.estimators import predicted_classes
from mlops.model.loading import Trust, load_model, saved_examples
from mlops.model.saving import MOST_EXAMPLES
from mlops.release.target import Answer
from mlops.waiting import wait_until

TOLERANCE: Final = 1e-6
BUSY_SECONDS: Final = 60.0

Prediction = tuple[Any, dict[str, float]]


@dataclass(frozen=True)
class SmokeRequest:
    """A request, and the expected label and probabilities of each of its rows."""

    body: bytes
    labels: tuple[Any, ...]
    probabilities: tuple[dict[str, float], ...]


def make_smoke_requests(model: Path, trusted: Trust) -> list[SmokeRequest]:
    """Return a request for the example rows of the model in a folder, and one for each of them.

    Raises
    ------
    ReleaseError
        The model has no rows to send.
    """
    records = saved_examples(model)
    if not records:
        raise ReleaseError("The model has no example rows.", "Train and register it again.")
    loaded = load_model(model, trusted)
    fitted = loaded.model
    probabilities = fitted.predict_proba(read(inputs_of(loaded.signature), records))
    labels = [fitted.classes_.tolist()[i] for i in predicted_classes(fitted, probabilities)]
    names = [str(label) for label in fitted.classes_]
    shares = [dict(zip(names, map(float, values), strict=True)) for values in probabilities]
    everything = range(len(records))
    together = everything[:MOST_EXAMPLES]
    return [
        SmokeRequest(
            json.dumps({"input_data": [records[row] for row in rows]}).encode(),
            tuple(labels[row] for row in rows),
            tuple(shares[row] for row in rows),
        )
        for rows in [together, *([row] for row in everything)]
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
        answer = wait_until(_is_admitted, partial(send, request.body), BUSY_SECONDS)
        if answer.status != 200:
            text = answer.body[:300].decode("utf-8", errors="replace")
            raise ReleaseError(f"A valid row was answered with status {answer.status}: {text}")
        own += _check_answer(answer.body, request, version)
        seconds.append(answer.seconds)
    return own, statistics.median(seconds) * 1000


def _is_admitted(answer: Answer) -> bool:
    """Return whether the endpoint had room for a request, beside those of its clients."""
    return answer.status != 429


def _check_answer(body: bytes, request: SmokeRequest, version: int) -> bool:
    """Return whether ``version`` gave the answer; raise an error if it did and is wrong."""
    try:
        content = json.loads(body)
        if int(content["model"]["version"]) != version:
            return False
        answers = [(p["label"], p["probabilities"]) for p in content["predictions"]]
        expected = list(zip(request.labels, request.probabilities, strict=True))
        wrong = [pair for pair in zip(answers, expected, strict=True) if not _agree(*pair)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReleaseError(f"An answer has an unknown format: {body[:300]!r}") from None
    for (label, probabilities), (right, shares) in wrong:
        raise ReleaseError(
            f"An answer is wrong: {label} {probabilities}; the registered model predicts "
            f"{right} {shares}."
        )
    return True


def _agree(answer: Prediction, expected: Prediction) -> bool:
    (label, found), (right, shares) = answer, expected
    if label != right or found.keys() != shares.keys():
        return False
    return all(abs(found[name] - share) <= TOLERANCE for name, share in shares.items())
