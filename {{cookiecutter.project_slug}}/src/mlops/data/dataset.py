"""Read the rows, and split them into training and holdout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlops.config import Data, Project, Split
from mlops.data.identity import RowKeys, identify, mix, row_keys
from mlops.data.rows import serve
from mlops.data.size import require_fits
from mlops.data.table import check_settings, check_table, few, plain, sortable
from mlops.errors import ConfigError, DataError
from mlops.outputs import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

Load = Callable[[Path], pd.DataFrame]

# How far the holdout's size, and a class's share in it, may be from what they should be.
TOLERANCE = 0.05


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

    features: pd.DataFrame  # in the form that `mlops.data.rows` defines
    target: NDArray[np.generic]  # the class of each row, as in the data
    classes: NDArray[np.generic]  # sorted
    positive: bool | str | int | None  # the class to detect; None with more than two classes
    holdout: NDArray[np.bool_]  # True for the rows that training never sees
    groups: NDArray[np.generic] | None  # the values of split.group
    digest: str
    rows: pd.DataFrame  # all columns but the target: the features, and the id
    keys: RowKeys  # of these rows
    warnings: tuple[str, ...] = ()  # about the split

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
    if source.is_dir() and not any(file.is_file() for file in source.rglob("*")):
        raise DataError(f"{source} has no files.", "Put the rows there, or name another folder.")
    try:
        require_fits(source)
        frame = load(source)
    except UnicodeDecodeError:
        raise DataError(_first_bad_byte(source), "Save the file as UTF-8.") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{source} is empty: not even a header.", "Restore the file.") from None
    except DataError:
        raise
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
    target = _target(raw.frame[data.target])
    rows = raw.frame.drop(columns=data.target)
    _require_ids(rows, data.ids)
    features = serve(rows.drop(columns=data.ids))
    keys = identify(rows, data.ids)
    groups = raw.frame[split.group].to_numpy() if split.group else None
    classes = np.sort(pd.unique(target))
    if split.time:
        holdout = _select_newest(raw.frame[split.time], split.holdout)
    else:
        holdout = _select_by_key(
            row_keys(rows[[split.group]]) if split.group else keys.keys, split.holdout, split.seed
        )
    if split.time or split.group:  # a row that is also on the other side is no test of anything
        holdout = holdout & ~pd.Index(keys.keys).isin(keys.keys[~holdout])
    for side, mask in [("training", ~holdout), ("holdout", holdout)]:
        absent = set(classes.tolist()) - set(pd.unique(target[mask]).tolist())
        if absent:
            raise DataError(
                f"The {side} rows contain no rows of class {few(sorted(absent))}.",
                "Add rows, or change `split`.",
            )
    return Dataset(
        features=features,
        target=target,
        classes=classes,
        positive=_positive(data, classes),
        holdout=holdout,
        groups=groups,
        digest=raw.digest,
        rows=rows,
        keys=keys,
        warnings=(
            *_describe_missing_times(raw.frame, split),
            *_describe_imbalance(holdout, target, classes, split, keys),
        ),
    )


def _target(values: pd.Series) -> NDArray[np.generic]:
    missing = values.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"The target {values.name!r} is missing in {missing.sum():,} of {len(missing):,} rows, "
            f"first in row {np.flatnonzero(missing)[0] + 1}.",
            "Give each a class, or leave the rows out in load() if they cannot have one: they are "
            "then neither trained on nor evaluated.",
        )
    return plain(values)


def _positive(data: Data, classes: NDArray[np.generic]) -> bool | str | int | None:
    if len(classes) < 2:
        raise DataError(
            f"The target {data.target!r} has a single class, {classes.tolist()[0]!r}.",
            "See whether load() reads all rows, and whether data.target is the right column.",
        )
    if len(classes) > 2:
        if data.positive is not None:
            raise ConfigError(
                f"data.positive is {data.positive!r}, but the target has {len(classes)} classes.",
                "Remove data.positive.",
            )
        return None
    labels: list[bool | str | int] = classes.tolist()
    return next(label for label in labels if label == data.positive)


def _require_ids(rows: pd.DataFrame, ids: list[str]) -> None:
    for name in ids:
        missing = np.flatnonzero(rows[name].isna())
        if len(missing):
            raise DataError(
                f"data.id is {name!r}, which is missing in {len(missing):,} rows, first in row "
                f"{missing[0] + 1}.",
                "Give every row its id, or choose other columns.",
            )


def _select_by_key(keys: NDArray[np.uint64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Let each row's own key decide, so that it keeps its side as the data grows."""
    drawn = mix(keys ^ mix(np.array([seed], np.uint64)))
    return np.asarray(drawn < np.uint64(fraction * 2**64))


def _select_newest(time: pd.Series, fraction: float) -> NDArray[np.bool_]:
    ranks = sortable(time).rank(method="first", na_option="top", pct=True)
    return np.asarray(ranks > 1 - fraction)


def _describe_missing_times(frame: pd.DataFrame, split: Split) -> tuple[str, ...]:
    missing = np.flatnonzero(frame[split.time].isna()) if split.time else np.array([])
    if not len(missing):
        return ()
    rows = "1 row" if len(missing) == 1 else f"{len(missing):,} rows"
    where = f"in {rows}, first in row {missing[0] + 1}"
    return (f"The time {split.time!r} is missing {where}: they count as the oldest.",)


def _describe_imbalance(
    holdout: NDArray[np.bool_],
    target: NDArray[np.generic],
    classes: NDArray[np.generic],
    split: Split,
    keys: RowKeys,
) -> tuple[str, ...]:
    """Say where the holdout is far from what `split` wants; rows of one key stay together."""

    def far() -> Iterator[str]:
        share = holdout.mean()
        if abs(share - split.holdout) > TOLERANCE:
            yield f"has {share:.1%} of the rows, not {split.holdout:.1%}"
        for name in classes.tolist():
            there, everywhere = np.mean(target[holdout] == name), np.mean(target == name)
            if abs(there - everywhere) > TOLERANCE:
                yield f"is {there:.1%} {name!r}, all rows are {everywhere:.1%}"

    def cause() -> str:
        if split.time:
            return "the newest rows differ from the others"
        if split.group:
            return "a group stays on one side"
        unique = pd.Index(keys.keys).is_unique
        return "there are few rows" if unique else "equal rows stay on one side"

    return tuple(f"The holdout {what}: {cause()}." for what in far())


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
