"""Raw rows, and their split into training and holdout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlops.config import Data, Project
from mlops.errors import ConfigError, DataError
from mlops.outputs import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

Load = Callable[[Path], pd.DataFrame]


@dataclass(frozen=True)
class RawData:
    """The rows as ``load`` returned them.

    Attributes
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Target included.
    digest : str
        SHA-256 of the file or folder that was read.
    source : Path
        Where it was read from.
    """

    frame: pd.DataFrame
    digest: str
    source: Path

    def __str__(self) -> str:
        count, columns = self.frame.shape
        return f"{count:,} rows of {columns} columns from {self.source.name}"


@dataclass(frozen=True)
class Dataset:
    """Rows ready to learn from.

    Attributes
    ----------
    features : DataFrame of shape (n_rows, n_features)
    target : ndarray of shape (n_rows,)
        The class of each row, as in the data.
    classes : ndarray of shape (n_classes,)
        Sorted; for two classes the positive one is ``positive``.
    positive : str, int or None
        None where there are more than two classes.
    holdout : bool ndarray of shape (n_rows,)
        True for the rows that training never sees.
    groups : ndarray of shape (n_rows,), or None
        The values of ``split.group``.
    digest : str
        SHA-256 of the data that the rows were read from.
    """

    features: pd.DataFrame
    target: NDArray[np.generic]
    classes: NDArray[np.generic]
    positive: str | int | None
    holdout: NDArray[np.bool_]
    groups: NDArray[np.generic] | None
    digest: str


def read_rows(source: Path, load: Load) -> RawData:
    """Call the data scientist's ``load``.

    Raises
    ------
    DataError
        Nothing there, nothing in it, not UTF-8, or whatever ``load`` raises.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist.", "Check `data.path` in project.yml, or --data.")
    try:
        frame = load(source)
    except UnicodeDecodeError:
        raise DataError(_first_bad_byte(source), "Save the file as UTF-8.") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{source} is empty: not even a header.", "Restore the file.") from None
    except Exception as error:
        raise DataError(f"{source} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(frame, pd.DataFrame):
        raise ConfigError(f"load() returned {type(frame).__name__}, not a pandas DataFrame.")
    if frame.empty:
        raise DataError(f"{source} has a header but no rows.", "Restore the file.")
    return RawData(frame, digest(source), source)


def split_rows(raw: RawData, project: Project) -> Dataset:
    """Separate the target, and training from holdout.

    Raises
    ------
    ConfigError
        project.yml names a column or a class that the data lacks.
    DataError
        A target is missing, or a side of the split lacks a class.
    """
    data, split = project.data, project.split
    _require_columns(
        raw, {"data.target": data.target, "split.group": split.group, "split.time": split.time}
    )
    if raw.frame[data.target].isna().any():
        first = int(np.flatnonzero(raw.frame[data.target].isna())[0]) + 1
        raise DataError(
            f"The target {data.target!r} is missing, first in row {first}.",
            "Drop such rows in load().",
        )
    target = raw.frame[data.target].to_numpy()
    features = raw.frame.drop(columns=data.target)
    groups = raw.frame[split.group].to_numpy() if split.group else None
    classes = np.sort(pd.unique(target))
    if split.time:
        holdout = _newest(raw.frame[split.time], split.holdout)
    else:
        deciding = features[[split.group]] if split.group else features
        holdout = _chosen(deciding, split.holdout, split.seed)
    for side, rows in [("training", ~holdout), ("holdout", holdout)]:
        lacking = set(classes.tolist()) - set(target[rows].tolist())
        if lacking:
            raise DataError(
                f"The {side} rows hold no example of {lacking}.", "Add rows, or change `split`."
            )
    return Dataset(features, target, classes, _positive(data, classes), holdout, groups, raw.digest)


def _require_columns(raw: RawData, fields: dict[str, str | None]) -> None:
    for field, column in fields.items():
        if column is not None and column not in raw.frame:
            raise ConfigError(f"{field} is {column!r}, but {raw.source.name} has no such column.")


def _positive(data: Data, classes: NDArray[np.generic]) -> str | int | None:
    if len(classes) < 2:
        raise DataError(f"The target {data.target!r} holds the single class {classes[0]!r}.")
    if len(classes) > 2:
        if data.positive is not None:
            raise ConfigError(
                f"data.positive is {data.positive!r}, but the target holds {len(classes)} classes.",
                "Remove data.positive.",
            )
        return None
    if data.positive not in classes.tolist():
        raise ConfigError(
            f"data.positive is {data.positive!r}, but the target holds {classes.tolist()}.",
            "Name one of them; put yes, no, on and off in quotes.",
        )
    return data.positive


def _chosen(rows: pd.DataFrame, share: float, seed: int) -> NDArray[np.bool_]:
    """Each row's own content decides, so its side stays the same as the data grows.

    One missing value turns a whole column of integers to float64, and one of flags to objects:
    so they are hashed as such from the start.
    """
    kinds = {"float64": rows.select_dtypes("number"), "object": rows.select_dtypes("bool")}
    stable = rows.astype({name: kind for kind, part in kinds.items() for name in part})
    hashes = pd.util.hash_pandas_object(stable, index=False, hash_key=f"{seed:016x}")
    return np.asarray(hashes.to_numpy() < np.uint64(share * 2**64))


def _newest(time: pd.Series, share: float) -> NDArray[np.bool_]:
    ranks = time.rank(method="first", na_option="top", pct=True)
    return np.asarray(ranks > 1 - share)


def _first_bad_byte(source: Path) -> str:
    """Where a file stops being UTF-8: line, byte and value."""
    if source.is_dir():
        return f"A file in {source} is not UTF-8 text."
    with source.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = line[error.start]
                return (
                    f"{source} is not UTF-8 text: line {number} (row {number - 1}), byte "
                    f"{error.start + 1} is 0x{byte:02x}."
                )
    return f"{source} is not UTF-8 text."
