"""The scoring script of every target: local servers, Azure ML endpoints and containers.

Azure ML's inference server calls `init` once, and `run` for each request to ``/score``::

    {"input_data": [{"age": 30, "home": "rent", ...}, ...]}
    {"input_data": {"columns": ["age", "home", ...], "data": [[30, "rent", ...], ...]}}

The answer is 200 with a label and probabilities for each row, or 4xx with the row, column and
description of each problem. A monitored endpoint also sends rows and predictions to Azure ML's data
collector, as azureml/monitoring.yml needs.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

# One thread scores a few rows fastest; both must be set before the imports.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import numpy as np
import pandas as pd
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

from mlops.data.rows import Columns, find_problems, inputs_of, read, read_columns
from mlops.model.estimators import label_rows
from mlops.model.loading import Trust, load_model, saved_examples
from mlops.serving.compiled import compile_model
from mlops.serving.limits import MAX_BODY, MAX_ROWS, TOO_LARGE
from mlops.serving.together import ScoringTimeout, Together, count_rows

if TYPE_CHECKING:
    from flask import Request

MAX_PROBLEMS: Final = 20
LONGEST_MS: Final = 3_600_000  # the server's default
# Azure ML sets one of them in a deployment with a data_collector.
COLLECTOR_SWITCHES: Final = ("AZUREML_MDC_CONFIG_PATH", "AZUREML_MDC_ENABLED")

FEW_ROWS: Final = 256  # beyond, scikit-learn's own code is as fast as arrays

Predictions = list[dict[str, Any]]
_scorer: Scorer


class BadRequest(Exception):
    """A request that cannot be scored, with its problems and the HTTP status of the answer."""

    def __init__(self, message: str, problems: Sequence[Mapping[str, Any]] = (), status: int = 400):
        super().__init__(message)
        self.problems = list(problems)
        self.status = status


class Scorer:
    """A registered model that checks requests against its signature.

    Parameters
    ----------
    folder : Path
        ``AZUREML_MODEL_DIR``: ends with the model's name and version, and contains an MLflow
        model in itself or a subfolder.
    trusted : Trust
        What may be loaded from there.

    Attributes
    ----------
    columns : list of Column
        The model's inputs.
    """

    def __init__(self, folder: Path, trusted: Trust) -> None:
        home = next((file.parent for file in folder.rglob("MLmodel")), folder)
        loaded = load_model(home, trusted)
        self.name, self.version = folder.parts[-2:]
        self._model = loaded.model
        self.columns = inputs_of(loaded.signature)
        self._collect = make_collector()
        self._together = Together(self._probabilities, scoring_timeout())
        self.compiled = compile_model(self._model, read(self.columns, saved_examples(home)))
        slow = isinstance(self.compiled, str)
        how = f"the model itself, since {self.compiled}" if slow else "arrays"
        # For the server's log, where `mlops status` finds it.
        print(f"{self.name} {self.version} is scored by {how}.", flush=True)

    def answer(self, body: bytes) -> dict[str, Any]:
        """Score a request's body.

        Raises
        ------
        BadRequest
            The body does not have the expected format, or its rows violate the signature.
        """
        columns = self.parse(body)
        predictions = self.predict(columns)
        self._collect(columns, predictions)
        return {"model": {"name": self.name, "version": self.version}, "predictions": predictions}

    def predict(self, columns: Columns) -> Predictions:
        """Return label and probabilities of rows that follow the signature."""
        try:
            probabilities = self._together(columns)
        except ValueError as error:
            raise BadRequest(f"The model cannot score these rows: {str(error)[:200]}") from error
        if not np.isfinite(probabilities).all():
            raise BadRequest("The model cannot score these rows: some numbers are too large.")
        return label_rows(self._model, probabilities)

    def _probabilities(self, columns: Columns) -> Any:
        few = count_rows(columns) <= FEW_ROWS
        if few and not isinstance(self.compiled, str):
            with contextlib.suppress(Exception):  # of any class: then the model itself decides
                return self.compiled.predict_proba(columns)
        return self._model.predict_proba(pd.DataFrame(columns))

    def parse(self, body: bytes) -> Columns:
        """Return a request's columns, each of shape (n_rows,), with the signature's types."""
        records = _records(_json(body))
        problems = list(islice(find_problems(self.columns, records), MAX_PROBLEMS + 1))
        if problems:
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            if len(problems) > MAX_PROBLEMS:
                count = f"more than {MAX_PROBLEMS} problems"
            raise BadRequest(f"The rows have {count}.", problems[:MAX_PROBLEMS])
        return read_columns(self.columns, records)


def make_collector() -> Callable[[Columns, Predictions], None]:
    """Return a function that collects a request's rows and predictions, and never fails it."""
    if not any(switch in os.environ for switch in COLLECTOR_SWITCHES):
        return lambda columns, predictions: None
    from azureml.ai.monitoring import Collector

    def warn(error: Exception) -> None:
        logging.getLogger(__name__).warning("Not collected: %s", error)

    inputs = Collector(name="model_inputs", on_error=warn)
    outputs = Collector(name="model_outputs", on_error=warn)

    def collect(columns: Columns, predictions: Predictions) -> None:
        answers = [{"label": p["label"], **p["probabilities"]} for p in predictions]
        outputs.collect(pd.DataFrame(answers), inputs.collect(pd.DataFrame(columns)))

    return collect


def init() -> None:
    """Load the model."""
    global _scorer
    _scorer = Scorer(Path(os.environ["AZUREML_MODEL_DIR"]), Trust.of_server(os.environ))


@rawhttp  # type: ignore[untyped-decorator]
def run(request: Request) -> AMLResponse:
    """Answer one request."""
    try:
        return AMLResponse(_scorer.answer(_read_body(request)), 200, json_str=True)
    except BadRequest as error:
        content = {"error": {"message": str(error), "problems": error.problems}}
        return AMLResponse(content, error.status, json_str=True)
    except ScoringTimeout:
        message = f"Scoring timeout after {scoring_timeout() * 1000:.0f} ms"
        return AMLResponse({"error": {"message": message}}, 500, json_str=True)


def scoring_timeout() -> float:
    """Return how long a request may take, in seconds.

    The server has the same limit, which it cannot enforce in threads.
    """
    return float(os.environ.get("SCORING_TIMEOUT_MS", LONGEST_MS)) / 1000


def _read_body(request: Request) -> bytes:
    if request.method != "POST":
        raise BadRequest("Send rows with POST.", status=405)
    too_large = (request.content_length or 0) > MAX_BODY
    body: bytes = b"" if too_large else request.stream.read(MAX_BODY + 1)
    if too_large or len(body) > MAX_BODY:
        raise BadRequest(TOO_LARGE, status=413)
    return body


def _json(body: bytes) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not a JSON number; send null for a missing value")

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {str(error)[:200]}") from None


def _records(content: Any) -> list[dict[str, Any]]:
    """Return the rows as dicts, from either format of the request."""
    data = content.get("input_data") if isinstance(content, dict) else None
    if isinstance(data, dict) and {"columns", "data"} <= data.keys():
        data = _join(data["columns"], data["data"])
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise BadRequest(
            'The body should be {"input_data": [{column: value, ...}, ...]} or '
            '{"input_data": {"columns": [...], "data": [[...], ...]}}.'
        )
    if not data:
        raise BadRequest("input_data contains no rows.")
    if len(data) > MAX_ROWS:
        message = f"input_data contains {len(data):,} rows; at most {MAX_ROWS:,} in a request."
        raise BadRequest(message, status=413)
    return data


def _join(columns: Any, rows: Any) -> list[dict[str, Any]]:
    """Return rows as dicts, from a list of names and a list of lists."""
    names = [name for name in columns if isinstance(name, str)] if isinstance(columns, list) else []
    if not names or len(set(names)) != len(columns):
        raise BadRequest("input_data.columns should contain each column name once.")
    if not isinstance(rows, list):
        raise BadRequest("input_data.data should be a list of rows.")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise BadRequest(f"Row {number} of input_data.data should contain {len(names)} values.")
    return [dict(zip(names, row, strict=True)) for row in rows]
