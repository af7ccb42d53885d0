"""The scoring script of the batch endpoint: every row of a file becomes a line of JSON.

Azure ML calls `init` once in each process, and `run` for each mini-batch of CSV or Parquet files::

    {"file": "june.csv", "row": 1, "label": "good", "probabilities": {"bad": 0.2, "good": 0.8}}
    {"file": "june.csv", "row": 2, "problems": [{"column": "age", "problem": "..."}]}

Rows count from 1. A row with problems is not scored; columns that are no inputs of the model are
left alone, so that files may hold keys of their own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops.errors import DataError
from mlops.serving.score import KINDS, NUMBERS, Scorer

CHUNK = 50_000
BOOLEANS = {True: True, False: False, "true": True, "false": False, "True": True, "False": False}

_scorer: Scorer


def init() -> None:
    """Load the model."""
    global _scorer
    _scorer = Scorer(Path(os.environ["AZUREML_MODEL_DIR"]))


def run(mini_batch: list[str]) -> list[str]:
    """The lines of some files.

    Raises
    ------
    DataError
        A file lacks a column that the model needs, or is neither CSV nor Parquet.
    """
    return [line for file in mini_batch for line in _score_file(Path(file))]


def _score_file(file: Path) -> Iterator[str]:
    first = 1
    for rows in _read(file):
        for number, answer in enumerate(_score(rows), start=first):
            yield json.dumps({"file": file.name, "row": number, **answer})
        first += len(rows)


def _read(file: Path) -> Iterator[pd.DataFrame]:
    """The inputs of the model, in parts that fit into memory."""
    columns = list(_scorer.columns)
    texts = {name: str for name, (kind, _) in _scorer.columns.items() if kind == "string"}
    try:
        if file.suffix == ".parquet":
            from pyarrow.parquet import ParquetFile

            for batch in ParquetFile(file).iter_batches(batch_size=CHUNK):
                yield batch.to_pandas()[columns]
        elif ".csv" in file.suffixes:
            for part in pd.read_csv(file, dtype=texts, chunksize=CHUNK):
                yield part[columns]
        else:
            raise DataError(f"{file.name} is neither CSV nor Parquet.")
    except KeyError as error:
        raise DataError(f"{file.name} lacks columns: {error.args[0]}") from None


def _score(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Prediction or problems of each row."""
    answers: list[dict[str, Any]] = [{} for _ in range(len(rows))]
    typed = {}
    for name, (kind, required) in _scorer.columns.items():
        values = rows[name].reset_index(drop=True)
        typed[name] = _typed(kind, values)
        unread = typed[name].isna()
        for number in np.flatnonzero(unread & (values.notna() | required)).tolist():
            text = _problem(kind, values[number])
            answers[number].setdefault("problems", []).append({"column": name, "problem": text})
    good = [place for place, answer in enumerate(answers) if not answer]
    if good:
        predictions = _scorer.predict(pd.DataFrame(typed).iloc[good].reset_index(drop=True))
        for place, prediction in zip(good, predictions, strict=True):
            answers[place] = prediction
    return answers


def _typed(kind: str, values: pd.Series) -> pd.Series:
    """A column of the dtype that training saw; what cannot be read as such is missing."""
    if kind in NUMBERS:
        numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
        return numbers.where(np.isfinite(numbers))
    if kind == "datetime":
        times = pd.to_datetime(values, errors="coerce", format="mixed", utc=True)
        return times.dt.tz_localize(None)
    if kind == "boolean":
        return values.map(BOOLEANS).astype(object)
    return values.astype(object).where(values.map(lambda value: isinstance(value, str)))


def _problem(kind: str, value: Any) -> str:
    if pd.isna(value):
        return "is missing, which the model never saw"
    wanted, _ = KINDS.get(kind, ("text", str))
    return f"should be {wanted}, is {str(value)[:40]!r}"
