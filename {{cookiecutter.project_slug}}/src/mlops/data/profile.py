"""What the columns of training data looked like, and how far today's are from that.

A profile holds values of the data: the extremes of numbers and the most common words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd

from mlops.data.explanation import shorten
from mlops.results import Result, Shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.data.dataset import Dataset

ROWS: Final = 100_000  # of a larger table a sample is described: its distances are within 0.01
LEVELS: Final = np.linspace(0, 1, 101)
COMMON: Final = 50
CLASSES: Final = 10  # the largest are also described one by one
NAMED_LEVELS: Final = {"median": 50, "upper quartile": 75, "lower quartile": 25, "maximum": 100}
ALL: Final = ""  # the part of a profile that holds all rows


class Column(Result):
    """The values of a column."""

    kind: Literal["number", "date", "text", "empty"]
    missing: float  # fraction of the rows; infinity counts as missing
    quantiles: tuple[float, ...] = ()  # of numbers and dates (days since 1970), at `LEVELS`
    shares: Mapping[str, float] = {}  # of the most common texts, among the rows that have one
    distinct: int = 0  # texts


class Part(Result):
    """The columns within a class, or within all rows."""

    rows: int
    columns: Mapping[str, Column]


class Profile(Result):
    """What a table looked like: as a whole (`ALL`), and within each of its largest classes."""

    parts: Mapping[str, Part]


def training_profile(dataset: Dataset, target: str) -> Profile:
    """Describe the training rows; of a large table, a sample."""
    rows = np.flatnonzero(~dataset.holdout)
    if len(rows) > ROWS:
        rows = np.random.default_rng(0).choice(rows, ROWS, replace=False)
    return profile(dataset.features.iloc[rows].assign(**{target: dataset.target[rows]}), target)


def profile(frame: pd.DataFrame, target: str) -> Profile:
    """Describe the columns, overall and within the classes of ``target``.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Features and target; the order of rows and columns does not matter.
    """
    labels = frame[target].astype(str).to_numpy()
    largest = sorted(zip(*np.unique(labels, return_counts=True), strict=True), key=lambda c: -c[1])
    parts = {str(label): frame[labels == label] for label, _ in largest[:CLASSES]}
    return Profile(
        parts={
            name: Part(
                rows=len(rows),
                columns={str(column): _describe(values) for column, values in rows.items()},
            )
            for name, rows in {ALL: frame, **parts}.items()
        }
    )


def distances(
    before: Profile, today: Profile, moving: Collection[str | None] = ()
) -> tuple[Shift, ...]:
    """Return how far each column has moved, the farthest first.

    The distance of numbers and dates is Kolmogorov's and Smirnov's: the largest difference of the
    two distribution functions, here read from their quantiles. That of texts is the total
    variation: half the sum of the differences of all shares; a share that a profile does not list
    counts as near as it may be. The change of the missing share is a distance, too; another kind of
    values is 1. A column may move within a class only, as where it was shuffled.

    Parameters
    ----------
    moving : collection of column names
        Those that are new in every data set by nature, such as a number of the order or a month.
    """
    parts = [
        (name, before.parts[name], today.parts[name])
        for name in before.parts
        if name in today.parts
    ]
    columns = {**before.parts[ALL].columns, **today.parts[ALL].columns}
    shifts = [_farthest(column, parts, column in moving) for column in columns]
    return tuple(sorted(shifts, key=lambda shift: (-shift.distance, shift.column)))


def _describe(values: pd.Series) -> Column:
    values = values.infer_objects()
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if numeric or pd.api.types.is_datetime64_any_dtype(values):
        numbers = _numbers(values, numeric)
        present = numbers[np.isfinite(numbers)]
        kind: Literal["number", "date"] = "number" if numeric else "date"
        missing = 1 - len(present) / len(values)
        if not len(present):
            return Column(kind="empty", missing=missing)
        found = np.quantile(present, LEVELS, method="inverted_cdf")
        return Column(kind=kind, missing=missing, quantiles=tuple(found.tolist()))
    counts = values.value_counts(dropna=True)
    total = int(counts.sum())
    if not total:
        return Column(kind="empty", missing=1)
    words = (counts / total).groupby(lambda value: shorten(value)).sum()
    common = words.sort_index().sort_values(ascending=False, kind="stable")[:COMMON]
    shares = {str(word): float(share) for word, share in common.items()}
    missing = 1 - total / len(values)
    return Column(kind="text", missing=missing, shares=shares, distinct=len(words))


def _numbers(values: pd.Series, numeric: bool) -> NDArray[np.float64]:
    if numeric:
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    days = values.dt.as_unit("s").astype("int64") / 86_400
    return np.asarray(days.where(values.notna()), dtype=np.float64)


def _farthest(column: str, parts: list[tuple[str, Part, Part]], moving: bool) -> Shift:
    """Return the shift within all rows or, if that may be chance, within one class."""
    (_, before, today), *_ = parts
    if column not in before.columns:
        return Shift(column=column, distance=1, expected=1, moved="new column")
    if column not in today.columns:
        return Shift(column=column, distance=1, expected=1, moved="gone")
    shifts = []
    for name, old, new in parts:
        a, b = old.columns[column], new.columns[column]
        expected = 1.0 if moving or "date" in (a.kind, b.kind) else _expected(a, b, old, new)
        where = f"within class {shorten(name)}: " if name else ""
        moved = where + _words(a, b)
        shifts.append(
            Shift(column=column, distance=_distance(a, b), expected=expected, moved=moved)
        )
    if shifts[0].notable:
        return shifts[0]
    return max(shifts, key=lambda shift: shift.distance - shift.expected)


def _expected(a: Column, b: Column, old: Part, new: Part) -> float:
    """Return a distance that rows of the same kind exceed in fewer than 1 of 1,000 columns.

    For numbers after Dvoretzky, Kiefer and Wolfowitz, and as exact as the quantiles are; for texts
    the mean is at most half the root of their number, and McDiarmid's inequality bounds the rest.
    """
    texts = max(len(a.shares), len(b.shares))
    chance = (2 + np.sqrt(texts) / 2) * np.sqrt(1 / old.rows + 1 / new.rows)
    return float(min(1.0, chance + (2 * LEVELS[1] if a.quantiles else 0.0)))


def _distance(a: Column, b: Column) -> float:
    missing = abs(a.missing - b.missing)
    if "empty" in (a.kind, b.kind):
        return missing
    if a.kind != b.kind:
        return 1.0
    apart = float(np.abs(_share_differences(a, b)).sum() / 2) if a.shares else _ks(a, b)
    return float(min(1.0, max(missing, apart)))


def _ks(a: Column, b: Column) -> float:
    places = np.union1d(a.quantiles, b.quantiles)
    return float(np.max(np.abs(_cdf(a, places) - _cdf(b, places))))


def _cdf(column: Column, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the fraction of values up to each place; frequent values are steps."""
    quantiles = np.asarray(column.quantiles)
    up_to = LEVELS[np.maximum(np.searchsorted(quantiles, places, side="right") - 1, 0)]
    between = np.interp(places, quantiles, LEVELS, left=0, right=1)
    return np.where(np.isin(places, quantiles), up_to, between)


def _share_differences(a: Column, b: Column) -> pd.Series:
    """Return the differences of the shares of all listed texts and, as "", of the others."""
    words = sorted({*a.shares, *b.shares})
    old, new = (pd.Series([c.shares.get(w, np.nan) for w in words], words) for c in (a, b))
    old, new = old.fillna(new.clip(upper=_unlisted(a))), new.fillna(old.clip(upper=_unlisted(b)))
    differences = new - old
    differences[""] = -differences.sum()
    return differences


def _unlisted(column: Column) -> float:
    """Return the largest share that a text can have without being listed."""
    return min(column.shares.values()) if column.distinct > len(column.shares) else 0.0


def _words(a: Column, b: Column) -> str:
    """Say what has moved."""
    if a.kind != b.kind and "empty" not in (a.kind, b.kind):
        return f"{a.kind} → {b.kind}"
    apart = {**a.model_dump(), "missing": 0} != {**b.model_dump(), "missing": 0}
    if not apart or abs(a.missing - b.missing) >= _distance(a, b):
        changed = a.missing != b.missing
        return f"missing {_percent(a.missing)} → {_percent(b.missing)}" if changed else ""
    if a.shares:
        differences = _share_differences(a, b).drop("")
        word = max(
            differences.index, key=lambda w: (round(abs(differences[w]), 6), -differences[w])
        )
        return f"'{word}' {_percent(a.shares.get(word, 0))} → {_percent(b.shares.get(word, 0))}"
    for name, level in NAMED_LEVELS.items():
        old, new = a.quantiles[level], b.quantiles[level]
        if old != new:
            return f"{name} {_value(old, a.kind)} → {_value(new, a.kind)}"
    return "the quartiles are the same"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _value(value: float, kind: str) -> str:
    if kind == "date":
        return f"{pd.Timestamp(0) + pd.Timedelta(days=value):%Y-%m-%d}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"
