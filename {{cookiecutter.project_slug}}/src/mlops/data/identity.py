"""Give each row a key by which it is known again: from its id, or from what its columns hold.

A key survives reordered columns, columns without a value, and columns of another type with the same
values (5, 5.0 and "5"; a date and its ISO text). It does not survive a changed value, or columns
that are added or dropped, except where the reader still has the columns that it was made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from zipfile import BadZipFile

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]
    Mask = NDArray[np.bool_]

FILE: Final = "rows.npz"
SCHEME: Final = 1  # of the keys: those of another scheme cannot be compared
EXACT: Final = 2.0**53  # beyond, a float does not hold every integer
ISO_DATE: Final = r"\d{4}-\d\d-\d\d(?:$|[T ])"
WORDS: Final = {"true": 1, "false": 0}


@dataclass(frozen=True)
class RowKeys:
    """The keys of some rows, and the columns that they are made from."""

    kind: Literal["id", "content"]
    columns: tuple[str, ...]
    keys: Keys

    def of(self, mask: Mask) -> RowKeys:
        """Return the keys of some of the rows."""
        return RowKeys(self.kind, self.columns, self.keys[mask])

    def save(self, folder: Path) -> Path:
        """Write rows.npz, of eight bytes for each key."""
        path = folder / FILE
        columns = np.array(self.columns, dtype=np.str_)
        np.savez(path, scheme=SCHEME, kind=self.kind, columns=columns, keys=self.keys)
        return path


def load_keys(path: Path) -> RowKeys | None:
    """Read rows.npz; None if it is damaged, or if its keys have another scheme."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file["scheme"]) != SCHEME:
                return None
            kind: Any = str(file["kind"])
            return RowKeys(kind, tuple(file["columns"].tolist()), file["keys"])
    except (ValueError, KeyError, EOFError, OSError, BadZipFile):
        return None


def identify(rows: pd.DataFrame, ids: Sequence[str]) -> RowKeys:
    """Return the rows' keys: of the columns ``ids``, or of all columns where there are none."""
    columns = tuple(ids or map(str, rows))
    return RowKeys("id" if ids else "content", columns, row_keys(rows[[*columns]]))


def seen_rows(trained: RowKeys, rows: pd.DataFrame, known: RowKeys) -> Mask | str:
    """Return which rows a model was trained on, or why that cannot be told.

    By their content it can be told only if every row of the training is found, as often as it was
    there: a row that is not may have changed, and be one of the others now.

    Parameters
    ----------
    known : RowKeys
        The rows' own keys, which need not be made again if they are made from the same columns.
    """
    missing = [column for column in trained.columns if column not in rows]
    if missing:
        return f"the data has no longer {', '.join(missing)}, by which its training rows are known"
    same = {*known.columns} == {*trained.columns}
    keys = known.keys if same else row_keys(rows[[*trained.columns]])
    seen = np.asarray(pd.Index(keys).isin(trained.keys))
    if trained.kind == "id" and not seen.any():
        return "no row that it was trained on is in the data, going by the id"
    if trained.kind == "content" and (lost := _count_lost(trained.keys, keys[seen])):
        rows_lost = f"{lost:,} of the {len(trained.keys):,} rows that it was trained on"
        return f"{rows_lost} are no longer in the data, or have changed"
    return seen


def _count_lost(before: Keys, today: Keys) -> int:
    """Return how many keys are not there any more, each counted as often as it was there."""
    counts = pd.Series(before).value_counts().sub(pd.Series(today).value_counts(), fill_value=0)
    return int(counts.clip(lower=0).sum())


def row_keys(rows: pd.DataFrame) -> Keys:
    """Return a key for each row: the sum over its columns of a hash of name and value.

    The sum does not depend on the columns' order, and a missing value adds nothing to it.
    """
    total = np.zeros(len(rows), np.uint64)
    for name, values in rows.items():
        total += _column_keys(str(name), values)
    return total


def mix(numbers: Keys) -> Keys:
    """Spread each number over all 64 bits (the finalizer of SplitMix64, Steele et al. 2014)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _column_keys(name: str, values: pd.Series) -> Keys:
    if pd.api.types.is_datetime64_any_dtype(values):
        return _date_keys(name, values)
    if pd.api.types.is_numeric_dtype(values):  # booleans included
        return _number_keys(name, values)
    codes, distinct = pd.factorize(values)  # missing values get the code -1
    keys = np.append(_object_keys(name, list(distinct)), np.uint64(0))
    return np.asarray(keys[codes])


def _date_keys(name: str, values: pd.Series) -> Keys:
    instants = pd.to_datetime(values, utc=True).dt.as_unit("ns")
    keys = mix(instants.astype("int64").to_numpy().view(np.uint64) ^ _salt(name, "date"))
    return np.where(instants.isna().to_numpy(), np.uint64(0), keys)


def _number_keys(name: str, values: pd.Series) -> Keys:
    """Hash a whole number exactly, and others as float32, which all types of numbers share."""
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iu":
        return mix(values.to_numpy().astype(np.int64).view(np.uint64) ^ _salt(name, "whole"))
    floats = values.to_numpy(dtype=np.float64, na_value=np.nan)
    whole = (np.floor(floats) == floats) & (np.abs(floats) <= EXACT)
    integers = np.where(whole, floats, 0).astype(np.int64).view(np.uint64)
    with np.errstate(over="ignore", under="ignore"):
        singles = floats.astype(np.float32)
    fractions = np.where(np.isfinite(singles), singles, floats).view(np.uint64)
    keys = np.where(
        whole, mix(integers ^ _salt(name, "whole")), mix(fractions ^ _salt(name, "fraction"))
    )
    return np.where(np.isnan(floats), np.uint64(0), keys)


def _object_keys(name: str, distinct: list[Any]) -> Keys:
    """Hash distinct values of any type: numbers and dates in text like numbers and dates."""
    keys = np.zeros(len(distinct), np.uint64)
    texts = pd.Series([str(value).strip() for value in distinct], dtype=object)
    numbers = pd.to_numeric(texts.map(lambda text: WORDS.get(text.lower(), text)), errors="coerce")
    digits = texts.str.fullmatch(r"-?\d{16,}")  # a float would not hold all of them
    long = digits & (texts.str.len() <= 18)
    plain = np.isfinite(numbers.astype(np.float64)) & ~digits
    dates = pd.to_datetime(
        texts.where(texts.str.match(ISO_DATE)), format="ISO8601", utc=True, errors="coerce"
    )
    dated = dates.notna() & ~plain
    other = (texts != "") & ~plain & ~dated & ~long
    keys[plain] = _number_keys(name, numbers[plain].astype(np.float64))
    keys[long] = _number_keys(name, texts[long].astype(np.int64))
    keys[dated] = _date_keys(name, dates[dated])
    keys[other] = [_text_key(f"{name}\0{text}") for text in texts[other]]
    return keys


def _salt(name: str, kind: str) -> np.uint64:
    return np.uint64(_text_key(f"{kind}\0{name}"))


def _text_key(text: str) -> int:
    hashed = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(hashed.digest(), "little")
