"""The scoring script of every target: the local server, Azure ML endpoints, containers.

Azure ML's inference server calls `init` once and `run` for each request to ``/score``::

    {"input_data": [{"age": 30, "home": "rent", ...}, ...]}
    {"input_data": {"columns": ["age", "home", ...], "data": [[30, "rent", ...], ...]}}

It answers 200 with a label and probabilities for each row, or 4xx saying what is wrong with
which row and column.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

# A few rows are scored faster by one thread than by many; it has to be said before the import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

from mlops.model.labels import predicted_classes
from mlops.serving.data_collector import watcher

if TYPE_CHECKING:
    from flask import Request

MAX_BODY = 16 * 2**20
MAX_PROBLEMS = 20
# MLflow's type names: how to call them, and what JSON holds for them.
NUMBERS = ("integer", "long", "float", "double")
KINDS: dict[str, tuple[str, Any]] = {
    **dict.fromkeys(NUMBERS, ("a number", (int, float))),
    "boolean": ("true or false", (bool,)),
    "datetime": ("a date and time such as 2026-01-31T12:00:00", (str,)),
    "string": ("text", (str,)),
}

_scorer: Scorer


class BadRequest(Exception):
    """The request can't be scored; ``problems`` says why, ``status`` is its HTTP status."""

    def __init__(self, message: str, problems: Sequence[Mapping[str, Any]] = (), status: int = 400):
        super().__init__(message)
        self.problems = list(problems)
        self.status = status


class Scorer:
    """A registered model, and the signature that its input has to follow.

    Parameters
    ----------
    folder : Path
        ``AZUREML_MODEL_DIR``: it ends with the model's name and version, and holds an MLflow
        model somewhere below.

    Attributes
    ----------
    name, version : str
        The registered model's.
    columns : dict
        Column name: MLflow's name of its type, and whether a value is required.
    """

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow.sklearn
        from mlflow.models import Model

        home = next(folder.rglob("MLmodel")).parent
        signature = Model.load(str(home)).signature
        if signature is None:
            raise ValueError(f"the model in {home} has no signature")
        self.name, self.version = folder.parts[-2:]
        self._model = mlflow.sklearn.load_model(str(home))
        self._names = [str(label) for label in self._model.classes_]
        self._labels = self._model.classes_.tolist()
        self.columns = {c.name: (c.type.name, c.required) for c in signature.inputs.inputs}
        self._watch = watcher()

    def answer(self, body: bytes) -> dict[str, Any]:
        """Score a request's body.

        Raises
        ------
        BadRequest
            The body is not JSON of the expected form, or its rows break the signature.
        """
        rows = self.parse(body)
        predictions = self.predict(rows)
        self._watch(rows, predictions)
        return {"model": {"name": self.name, "version": self.version}, "predictions": predictions}

    def predict(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        """Label and probabilities of each row, for rows that follow the signature."""
        try:
            probabilities = self._model.predict_proba(rows)
        except ValueError as error:
            raise BadRequest(f"The model cannot score these rows: {str(error)[:200]}") from error
        if not np.isfinite(probabilities).all():
            raise BadRequest("The model cannot score these rows: their numbers are too large.")
        chosen = predicted_classes(self._model, probabilities)
        return [
            {
                "label": self._labels[label],
                "probabilities": dict(zip(self._names, row, strict=True)),
            }
            for label, row in zip(chosen.tolist(), probabilities.tolist(), strict=True)
        ]

    def parse(self, body: bytes) -> pd.DataFrame:
        """The rows of a request, of shape (n_rows, n_features), typed by the signature."""
        records = _records(_json(body))
        found = (p for number, row in enumerate(records) for p in self._problems(number, row))
        problems = list(islice(found, MAX_PROBLEMS + 1))
        if problems:
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            if len(problems) > MAX_PROBLEMS:
                count = f"more than {MAX_PROBLEMS} problems"
            raise BadRequest(f"The rows have {count}.", problems[:MAX_PROBLEMS])
        return pd.DataFrame(
            {name: _column(kind, name, records) for name, (kind, _) in self.columns.items()}
        )

    def _problems(self, number: int, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What keeps one row from being scored."""
        found: list[dict[str, Any]] = []
        for name in row.keys() - self.columns.keys():
            found.append(
                {"row": number, "column": name[:80], "problem": "is not an input of the model"}
            )
        for name, (kind, required) in self.columns.items():
            value = row.get(name)
            if name not in row:
                text = "is not given"
            elif value is None:
                text = "is null, which the model never saw" if required else ""
            else:
                text = _mismatch(kind, value)
            if text:
                found.append({"row": number, "column": name, "problem": text})
        return found


def init() -> None:
    """Load the model; called once, before the first request."""
    global _scorer
    _scorer = Scorer(Path(os.environ["AZUREML_MODEL_DIR"]))


@rawhttp  # type: ignore[untyped-decorator]
def run(request: Request) -> AMLResponse:
    """Answer one request."""
    try:
        if request.method != "POST":
            raise BadRequest("Send the rows with POST.", status=405)
        if (request.content_length or 0) > MAX_BODY:
            raise BadRequest(f"The body is larger than {MAX_BODY:,} bytes.", status=413)
        body = request.stream.read(MAX_BODY + 1)
        if len(body) > MAX_BODY:
            raise BadRequest(f"The body is larger than {MAX_BODY:,} bytes.", status=413)
        return AMLResponse(_scorer.answer(body), 200, json_str=True)
    except BadRequest as error:
        content = {"error": {"message": str(error), "problems": error.problems}}
        return AMLResponse(content, error.status, json_str=True)


def _json(body: bytes) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not a JSON number; send null for a missing value")

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {str(error)[:200]}") from None


def _records(content: Any) -> list[dict[str, Any]]:
    """The rows as dicts, from either form of the request."""
    data = content.get("input_data") if isinstance(content, dict) else None
    if isinstance(data, dict) and {"columns", "data"} <= data.keys():
        data = _joined(data["columns"], data["data"])
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise BadRequest(
            'The body should be {"input_data": [{column: value, ...}, ...]} or '
            '{"input_data": {"columns": [...], "data": [[...], ...]}}.'
        )
    if not data:
        raise BadRequest("input_data holds no rows.")
    return data


def _joined(columns: Any, rows: Any) -> list[dict[str, Any]]:
    """Rows as dicts, from a list of names and a list of lists."""
    names = [name for name in columns if isinstance(name, str)] if isinstance(columns, list) else []
    if not names or len(set(names)) != len(columns):
        raise BadRequest("input_data.columns should hold each column's name once.")
    if not isinstance(rows, list):
        raise BadRequest("input_data.data should be a list of rows.")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise BadRequest(f"Row {number} of input_data.data should hold {len(names)} values.")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _mismatch(kind: str, value: Any) -> str:
    """Why ``value`` is not of a signature's type; "" if it is."""
    wanted, kinds = KINDS.get(kind, ("text", (str,)))
    shown = f"should be {wanted}, is {json.dumps(value)[:40]}"
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind != "boolean"):
        return shown
    if kind in NUMBERS:
        return "" if _is_finite(value) else "is out of range"
    if kind == "datetime":
        return shown if pd.isna(pd.to_datetime(value, errors="coerce")) else ""
    return ""


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _column(kind: str, name: str, records: list[dict[str, Any]]) -> Any:
    """One column as an array of the dtype that training saw; null becomes NaN."""
    values = [np.nan if row[name] is None else row[name] for row in records]
    if kind == "datetime":
        return pd.to_datetime(values, format="mixed", utc=True).tz_localize(None)
    return np.array(values, np.float64 if kind in NUMBERS else object)
