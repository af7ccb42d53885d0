"""Draw the page of a validation: each column's values, and what was expected of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlops.data.explanation import shorten
from mlops.outputs import render
from mlops.results import ExpectationResult, Validation

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 24
CATEGORIES = 5


@dataclass(frozen=True)
class Bar:
    """A bin or a category: its rows, and the bar's length as a fraction of the space."""

    label: str
    rows: int
    length: float


@dataclass(frozen=True)
class Picture:
    """The values of a column."""

    kind: str
    missing: int  # rows
    ends: tuple[str, ...]  # least and greatest value of a histogram; empty for categories
    bars: tuple[Bar, ...]


def write_page(validation: Validation, frame: pd.DataFrame, page: Path) -> None:
    """Write validation.html: columns with failed expectations first, "" for the whole table."""
    results: dict[str, list[ExpectationResult]] = {"": [], **{str(name): [] for name in frame}}
    for result in sorted(validation.expectations, key=lambda result: result.passed):
        results.setdefault(result.column, []).append(result)
    columns = sorted(results, key=lambda column: all(r.passed for r in results[column]))
    render(
        page,
        "validation.html.j2",
        validation=validation,
        results={column: results[column] for column in columns},
        pictures={str(name): draw(values) for name, values in frame.items()},
    )


def draw(values: pd.Series) -> Picture:
    """Return a histogram of numbers and times, the most frequent of other values."""
    known = values.dropna()
    types = pd.api.types
    timed = types.is_datetime64_any_dtype(values) or types.is_timedelta64_dtype(values)
    if timed or (types.is_numeric_dtype(values) and not types.is_bool_dtype(values)):
        bars = _histogram(np.asarray(known.astype("int64") if timed else known, "float64"))
        ends = tuple(_end(end) for end in (known.min(), known.max())) if bars else ()
    else:
        bars, ends = _categories(known, len(values)), ()
    text = isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object
    kind = "text" if text else str(values.dtype)
    return Picture(kind, len(values) - len(known), ends, bars)


def _histogram(numbers: NDArray[np.float64]) -> tuple[Bar, ...]:
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return ()
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = numbers - numbers.min()  # dates are large numbers
            whole = bool((numbers == np.rint(numbers)).all())
            bins = int(min(BINS, numbers.max() + 1)) if whole else BINS
            counts, _ = np.histogram(numbers, bins)
    except ValueError:  # the range is too large or too small for floating-point numbers
        return ()
    return tuple(Bar("", int(n), n / counts.max()) for n in counts)


def _categories(values: pd.Series, rows: int) -> tuple[Bar, ...]:
    counts = values.value_counts()
    counts = counts[counts > 0].sort_index(key=lambda index: index.astype(str))
    counts = counts.sort_values(ascending=False, kind="stable")
    shown = len(counts) if len(counts) <= CATEGORIES + 1 else CATEGORIES
    pairs = [(shorten(value), int(n)) for value, n in counts[:shown].items()]
    if len(counts) > shown:
        pairs.append((f"{len(counts) - shown:,} others", int(counts[shown:].sum())))
    return tuple(Bar(label, n, n / rows) for label, n in pairs)


def _end(value: object) -> str:
    return f"{value:,.6g}" if isinstance(value, (int, float, np.number)) else shorten(value)
