"""Read the rows, and split them into training and holdout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlops.config import Data, Project
from mlops.data.table import check_settings, check_table, few, plain, sortable
from mlops.errors import ConfigError, DataError
from mlops.outputs import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

Load = Callable[[Path], pd.DataFrame]


@dataclass(frozen=True)
class RawData:
    """Rows as ``load`` returned them, the SHA-256 of what it read, and that file or folder."""

    frame: pd.DataFrame
    digest: str
    source: Path

    def __str__(self) -> str:
        count, columns = self.frame.shape
        return f"{count:,} rows of {columns} columns from {self.source.name}"


@dataclass(frozen=True)
class Dataset:
    """Rows ready to learn from."""

    features: pd.DataFrame
    target: NDArray[np.generic]  # the class of each row, as in the data
    classes: NDArray[np.generic]  # sorted
    positive: bool | str | int | None  # the class to detect; None with more than two classes
    holdout: NDArray[np.bool_]  # True for the rows that training never sees
    groups: NDArray[np.generic] | None  # the values of split.group
    digest: str

    def training_rows(
        self,
    ) -> tuple[pd.DataFrame, NDArray[np.generic], NDArray[np.generic] | None]:
        """Return features, target and groups of the training rows."""
        rows = ~self.holdout
        groups = None if self.groups is None else self.groups[rows]
        return self.features[rows], self.target[rows], groups


def read_rows(source: Path, load: Load) -> RawData:
    """Read the rows with the data scientist's ``load``.

    Raises
    ------
    DataError
        The source is missing, empty or not UTF-8, ``load`` raised an error, or a column of its
        table cannot be used.
    ConfigError
        ``load`` did not return a DataFrame.
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
    return RawData(check_table(frame, source.name), digest(source), source)


def split_rows(raw: RawData, project: Project) -> Dataset:
    """Separate features from target, and training from holdout rows.

    Raises
    ------
    ConfigError
        project.yml names a column or class that the data does not have.
    DataError
        A target is missing, or training or holdout rows lack a class.
    """
    data, split = project.data, project.split
    check_settings(raw.frame, project, raw.source.name)
    missing = raw.frame[data.target].isna().to_numpy()
    if missing.any():
        raise DataError(
            f"The target {data.target!r} is missing in {missing.sum():,} of {len(missing):,} rows, "
            f"first in row {np.flatnonzero(missing)[0] + 1}.",
            "Give each a class, or leave the rows out in load() if they cannot have one: they are "
            "then neither trained on nor evaluated.",
        )
    target = plain(raw.frame[data.target])
    features = raw.frame.drop(columns=data.target)
    groups = raw.frame[split.group].to_numpy() if split.group else None
    classes = np.sort(pd.unique(target))
    if split.time:
        holdout = _select_newest(raw.frame[split.time], split.holdout)
    else:
        hashed = features[[split.group]] if split.group else features
        holdout = _select_by_hash(hashed, split.holdout, split.seed)
    for side, rows in [("training", ~holdout), ("holdout", holdout)]:
        absent = set(classes.tolist()) - set(pd.unique(target[rows]).tolist())
        if absent:
            raise DataError(
                f"The {side} rows contain no rows of class {few(sorted(absent))}.",
                "Add rows, or change `split`.",
            )
    return Dataset(features, target, classes, _positive(data, classes), holdout, groups, raw.digest)


def _positive(data: Data, classes: NDArray[np.generic]) -> bool | str | int | None:
    if len(classes) < 2:
        raise DataError(f"The target {data.target!r} has a single class, {classes[0]!r}.")
    if len(classes) > 2:
        if data.positive is not None:
            raise ConfigError(
                f"data.positive is {data.positive!r}, but the target has {len(classes)} classes.",
                "Remove data.positive.",
            )
        return None
    labels: list[bool | str | int] = classes.tolist()
    return next(label for label in labels if label == data.positive)


def _select_by_hash(rows: pd.DataFrame, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Let each row's own content decide, so that it keeps its side as the data grows.

    A missing value turns integers into float64 and booleans into objects, so hash them as such.
    """
    kinds = {"float64": rows.select_dtypes("number"), "object": rows.select_dtypes("bool")}
    types = {name: kind for kind, part in kinds.items() for name in part}
    stable = rows.astype(types, copy=False)
    hashes = pd.util.hash_pandas_object(stable, index=False, hash_key=f"{seed:016x}")
    return np.asarray(hashes.to_numpy() < np.uint64(fraction * 2**64))


def _select_newest(time: pd.Series, fraction: float) -> NDArray[np.bool_]:
    ranks = sortable(time).rank(method="first", na_option="top", pct=True)
    return np.asarray(ranks > 1 - fraction)


def _first_bad_byte(source: Path) -> str:
    """Say where a file stops being UTF-8: line, byte and value."""
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
