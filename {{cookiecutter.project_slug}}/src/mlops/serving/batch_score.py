"""The scoring script of the batch endpoint: each row of a file becomes a line of JSON.

Azure ML calls `init` once per process and `run` for each mini-batch of CSV or Parquet files::

    {"file": "june.csv", "row": 1, "label": "good", "probabilities": {"bad": 0.2, "good": 0.8}}
    {"file": "june.csv", "row": 2, "problems": [{"column": "age", "problem": "..."}]}

Rows count from 1. Rows with problems are not scored. Columns that are not inputs of the model are
ignored, so files may contain keys.
"""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops.data.rows import arrays
from mlops.errors import DataError
from mlops.model.loading import Trust
from mlops.serving.score import Scorer

CHUNK = 50_000

_scorer: Scorer


def init() -> None:
    """Load the model."""
    global _scorer
    _scorer = Scorer(Path(os.environ["AZUREML_MODEL_DIR"]), Trust.of_server(os.environ))


def run(mini_batch: list[str]) -> list[str]:
    """Return the lines for some files.

    Raises
    ------
    DataError
        A file lacks an input of the model, or is neither CSV nor Parquet.
    """
    return [line for file in mini_batch for line in _score_file(Path(file))]


def _score_file(file: Path) -> Iterator[str]:
    first = 1
    for rows in _read(file):
        for number, answer in enumerate(_score(rows), start=first):
            yield json.dumps({"file": file.name, "row": number, **answer})
        first += len(rows)


def _read(file: Path) -> Iterator[pd.DataFrame]:
    """Yield the model's inputs in chunks that fit into memory."""
    columns = [column.name for column in _scorer.columns]
    texts: dict[Hashable, type[str]] = {
        column.name: str for column in _scorer.columns if column.kind == "string"
    }
    try:
        if file.suffix == ".parquet":
            from pyarrow.parquet import ParquetFile

            for batch in ParquetFile(file).iter_batches(batch_size=CHUNK):
                yield batch.to_pandas()[columns]
        elif ".csv" in file.suffixes:
            # As load() does: only an empty cell is missing, and None and NA are words.
            for chunk in pd.read_csv(
                file, dtype=texts, chunksize=CHUNK, keep_default_na=False, na_values=[""]
            ):
                yield chunk[columns]
        else:
            raise DataError(f"{file.name} is neither CSV nor Parquet.")
    except KeyError as error:
        raise DataError(f"{file.name} lacks columns: {error.args[0]}") from None


def _score(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the prediction or the problems of each row."""
    answers: list[dict[str, Any]] = [{} for _ in range(len(rows))]
    typed = {}
    for column in _scorer.columns:
        values = rows[column.name].reset_index(drop=True)
        typed[column.name] = column.convert(values)
        invalid = typed[column.name].isna() & (values.notna() | column.required)
        for number in np.flatnonzero(invalid).tolist():
            problem = {"column": column.name, "problem": column.describe_problem(values[number])}
            answers[number].setdefault("problems", []).append(problem)
    valid = [number for number, answer in enumerate(answers) if not answer]
    if valid:
        inputs = pd.DataFrame(typed).iloc[valid].reset_index(drop=True)
        flags = [c.name for c in _scorer.columns if c.dtype is bool]
        predictions = _scorer.predict(arrays(inputs.astype(dict.fromkeys(flags, bool))))
        for number, prediction in zip(valid, predictions, strict=True):
            answers[number] = prediction
    return answers
