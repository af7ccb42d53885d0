"""Score files of rows: each row of a CSV or Parquet file becomes a line of JSON.

``june.csv`` becomes ``june.csv.jsonl``::

    {"row": 1, "label": "good", "probabilities": {"bad": 0.2, "good": 0.8}}
    {"row": 2, "problems": [{"column": "age", "problem": "..."}]}

Rows count from 1. Rows with problems are not scored. Columns that are not inputs of the model are
ignored, so files may contain keys.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from mlops.data.rows import Column, arrays, inputs_of
from mlops.errors import DataError
from mlops.model.estimators import label_rows
from mlops.model.loading import Trust, load_model
from mlops.results import Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK: Final = 50_000  # rows that are read and scored at once


def score_files(source: Path, out: Path, model: Path, trusted: Trust) -> Iterator[Scored]:
    """Score a file, or all files below a folder, and write their lines below ``out``.

    Parameters
    ----------
    model : Path
        The folder of an MLflow model.
    trusted : Trust
        What may be loaded from there.

    Raises
    ------
    DataError
        There is no file, or one lacks an input of the model or is neither CSV nor Parquet.
    ModelError
        The model's files are missing, changed, damaged or not trusted.
    """
    files = find_files(source)
    loaded = load_model(model, trusted)
    columns = inputs_of(loaded.signature)
    for file in files:
        name = file.name if file == source else file.relative_to(source).as_posix()
        lines = out / f"{name}.jsonl"
        lines.parent.mkdir(parents=True, exist_ok=True)
        rows = problems = 0
        try:
            with lines.open("w", encoding="utf-8", newline="\n") as stream:
                for chunk in _read(file, columns):
                    for answer in _score(chunk, columns, loaded.model):
                        rows += 1
                        problems += "problems" in answer
                        stream.write(json.dumps({"row": rows, **answer}) + "\n")
        except BaseException:
            lines.unlink()  # a part would look like the whole
            raise
        yield Scored(file=name, lines=lines, rows=rows, problems=problems)


def find_files(source: Path) -> list[Path]:
    """Return the files of rows, without hidden ones and notes such as Spark's _SUCCESS.

    Raises
    ------
    DataError
        There is none.
    """
    if source.is_file():
        return [source]
    inside = (file for file in sorted(source.rglob("*")) if file.is_file())
    files = [
        file
        for file in inside
        if not any(part.startswith((".", "_")) for part in file.relative_to(source).parts)
    ]
    if not files:
        what = "has no files" if source.is_dir() else "does not exist"
        raise DataError(f"{source} {what}.", "Name a CSV or Parquet file, or a folder of them.")
    return files


def _read(file: Path, columns: Sequence[Column]) -> Iterator[pd.DataFrame]:
    """Yield the model's inputs in chunks that fit into memory."""
    names = [column.name for column in columns]
    texts: dict[Hashable, type[str]] = {c.name: str for c in columns if c.kind == "string"}
    try:
        if file.suffix == ".parquet":
            from pyarrow.parquet import ParquetFile

            for batch in ParquetFile(file).iter_batches(batch_size=CHUNK):
                yield batch.to_pandas()[names]
        elif ".csv" in file.suffixes:
            # As load() does: only an empty cell is missing, and None and NA are words.
            for chunk in pd.read_csv(
                file, dtype=texts, chunksize=CHUNK, keep_default_na=False, na_values=[""]
            ):
                yield chunk[names]
        else:
            raise DataError(f"{file.name} is neither CSV nor Parquet.")
    except KeyError as error:
        raise DataError(f"{file.name} lacks columns: {error.args[0]}") from None


def _score(rows: pd.DataFrame, columns: Sequence[Column], model: Any) -> list[dict[str, Any]]:
    """Return the prediction or the problems of each row."""
    answers: list[dict[str, Any]] = [{} for _ in range(len(rows))]
    typed = {}
    for column in columns:
        values = rows[column.name].reset_index(drop=True)
        typed[column.name] = column.convert(values)
        invalid = typed[column.name].isna() & (values.notna() | column.required)
        for number in np.flatnonzero(invalid).tolist():
            problem = {"column": column.name, "problem": column.describe_problem(values[number])}
            answers[number].setdefault("problems", []).append(problem)
    valid = [number for number, answer in enumerate(answers) if not answer]
    if valid:
        inputs = pd.DataFrame(typed).iloc[valid].reset_index(drop=True)
        flags = [column.name for column in columns if column.dtype is bool]
        served = pd.DataFrame(arrays(inputs.astype(dict.fromkeys(flags, bool))))
        probabilities = _probabilities(model, served)
        for number, answer in zip(valid, label_rows(model, probabilities), strict=True):
            answers[number] = answer
        for place in np.flatnonzero(~np.isfinite(probabilities).all(axis=1)).tolist():
            problem = {"column": "", "problem": "has numbers that the model cannot score"}
            answers[valid[place]] = {"problems": [problem]}
    return answers


def _probabilities(model: Any, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return probabilities of shape (n_rows, n_classes); NaN in rows that the model refuses."""
    try:
        return np.asarray(model.predict_proba(rows), dtype=np.float64)
    except ValueError:  # of some row: find which
        if len(rows) == 1:
            return np.full((1, len(model.classes_)), np.nan)
        half = len(rows) // 2
        parts = (rows.iloc[:half], rows.iloc[half:])
        return np.vstack([_probabilities(model, part) for part in parts])
