"""Check the table that ``load`` returned, and what project.yml says about its columns."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from mlops.config import Project
from mlops.data.explanation import near, shorten
from mlops.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 5
# A column with more values than this is no list of classes or slices if few rows share a value.
MANY_VALUES = 50
TEXT, NUMBERS, TRUTH, DATES = "text", "numbers", "true or false", "dates"
USABLE = (TEXT, NUMBERS, TRUTH, DATES)
# A subclass comes before its base, as bool before int.
KINDS: dict[str, tuple[type, ...]] = {
    TRUTH: (bool, np.bool_),
    "durations": (datetime.timedelta, np.timedelta64),  # numpy calls them integers
    NUMBERS: (int, float, decimal.Decimal, np.integer, np.floating),
    TEXT: (str,),
    DATES: (datetime.date, np.datetime64),
    "times of day": (datetime.time,),
    "periods": (pd.Period,),
    "intervals": (pd.Interval,),
    "complex numbers": (complex, np.complexfloating),
    "bytes": (bytes,),
}
CONVERT = {
    "times of day": "Convert it in load(), such as to minutes since midnight.",
    "durations": "Convert it in load() to a number, such as with .dt.total_seconds().",
    "periods": "Convert it in load() with .dt.to_timestamp().",
    "intervals": "Convert it in load() to text with .astype(str).",
    "complex numbers": "Split it in load() into columns of real and imaginary parts.",
    "bytes": "Decode it in load() with .str.decode('utf-8').",
}
OTHER = "Turn it in load() into columns of numbers or text, one value per cell."


class Problem(NamedTuple):
    """What is wrong, and what to do about it."""

    text: str
    fix: str


def check_table(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return the rows under the index 0, 1, ... if each column is named and of one usable type.

    Raises
    ------
    DataError
        Names every column that cannot be used, with its first such row, counted from 1.
    """
    problems = _name_problems(frame.columns)
    rows = frame.set_axis(pd.RangeIndex(len(frame)), axis=0)
    if not problems:
        found = (_column_problem(str(name), values) for name, values in rows.items())
        problems = [problem for problem in found if problem]
    if problems:
        raise DataError(*_join(f"The table that load() returned from {source}", problems))
    return rows


def check_settings(
    frame: pd.DataFrame, project: Project, source: str, *, validated: bool = True
) -> None:
    """Check that project.yml names columns and classes that the rows have.

    Parameters
    ----------
    validated : bool
        False before the expectations are checked, which explain a number with a few words in it.

    Raises
    ------
    ConfigError
        Lists every field that does not fit.
    """
    split, target = project.split, project.data.target
    inputs = {"split.group": split.group, "split.time": split.time}
    named = [("data.target", target), *inputs.items(), *(("data.id", i) for i in project.data.ids)]
    problems = [
        Problem(f"{field} is {column!r}, but {source} has no such column.", near(column, frame))
        for field, column in named
        if column and column not in frame
    ]
    problems += [
        Problem(f"{field} is {column!r}, the target.", "Name another column.")
        for field, column in named[1:]
        if column == target
    ]
    if target in frame:
        problems += _target_problems(frame[target], project)
    if split.group and split.group in frame:
        problems += _group_problems(split.group, frame[split.group])
    if split.time and split.time in frame and split.time != target:
        problems += _time_problems(split.time, frame[split.time])
    for item in project.gate.slices:
        problems += _slice_problems(item, frame, project, source, validated)
    if problems:
        raise ConfigError(*_join("project.yml", problems))


def plain(values: pd.Series) -> NDArray[np.generic]:
    """Return complete values as an array of a plain type, also from objects or a nullable type."""
    if isinstance(values.dtype, np.dtype) and values.dtype != object:
        return values.to_numpy()
    inferred = pd.Series(values.to_list())
    if pd.api.types.infer_dtype(inferred) in ("decimal", "mixed-integer-float"):
        inferred = inferred.astype(float)
    return inferred.to_numpy()


def sortable(times: pd.Series) -> pd.Series:
    """Return ``split.time`` as values that sort by time: ISO 8601 text as timestamps."""
    if _are_dates(times):
        return pd.to_datetime(times, format="mixed", utc=True)
    if not _is_text(times):
        return times.astype(float) if times.dtype == object else times
    return pd.to_datetime(times.astype(object), format="ISO8601", utc=True)


def few(values: Iterable[object]) -> str:
    """Return the first few values as text, and how many there are if they are cut."""
    shown = [_show(value) for value in values]
    rest = f", ... ({len(shown):,} in all)" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + rest


def _join(subject: str, problems: Sequence[Problem]) -> tuple[str, str]:
    """Return the message and the fix of an error."""
    if len(problems) == 1:
        return problems[0]
    lines = [" ".join(filter(None, problem)) for problem in problems]
    return f"{subject} has {len(lines)} errors:\n  " + "\n  ".join(lines), ""


def _name_problems(columns: pd.Index) -> list[Problem]:
    if columns.nlevels > 1:
        text = f"The columns have names of {columns.nlevels} levels, first {columns[0]}."
        return [Problem(text, "Join them to one text per column in load().")]
    unnamed = [name for name in columns if not isinstance(name, str)]
    if unnamed:
        text = f"Columns have names that are not text: {few(unnamed)}."
        fix = "If the file has a header, read it with header=0; else set frame.columns in load()."
        return [Problem(text, fix)]
    problems = []
    blank = [
        place
        for place, name in enumerate(columns, start=1)
        if not name.strip() or name == f"Unnamed: {place - 1}"  # as pandas calls those of a file
    ]
    if blank:
        fix = "Name them in load() or in the file; an index saved with it is read by index_col=0."
        problems.append(Problem(f"Columns without a name, at place {few(blank)}.", fix))
    repeated = columns[columns.duplicated()].unique()
    if len(repeated):
        fix = "Rename the columns in load(), or select one of each."
        problems.append(Problem(f"Several columns have the same name: {few(repeated)}.", fix))
    return problems


def _column_problem(name: str, values: pd.Series) -> Problem | None:
    dtype = values.dtype
    if isinstance(dtype, pd.SparseDtype):
        text = f"Column {name!r} is sparse ({dtype})."
        return Problem(text, "Convert it in load() with .sparse.to_dense().")
    if dtype.kind in "iubM":
        return None
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        if dtype.itemsize > 8:
            fix = "Convert it in load() with .astype(float): no request carries so many digits."
            return Problem(f"Column {name!r} holds numbers of {8 * dtype.itemsize} bits.", fix)
        infinite = np.isinf(values.to_numpy())
        return _infinity(name, values, infinite) if infinite.any() else None
    cells = values.astype(object)
    inferred = pd.api.types.infer_dtype(cells, skipna=True)
    if inferred in ("boolean", "empty"):
        return None
    if inferred == "string":
        return _broken_text(name, cells)
    cells = cells[cells.notna()]
    kinds = cells.map(_kind)
    unusable = np.flatnonzero(~kinds.isin(USABLE))
    if len(unusable):
        place = int(unusable[0])
        kind, row = kinds.iloc[place], cells.index[place] + 1
        text = f"Column {name!r} holds {kind}, first in row {row}: {_show(cells.iloc[place])}."
        return Problem(text, CONVERT.get(kind, OTHER))
    if len(set(kinds)) > 1:
        return _mixture(name, cells, kinds)
    if set(kinds) == {TEXT}:  # beside a missing value that pandas takes for a date
        return _broken_text(name, cells)
    infinite = cells.isin([np.inf, -np.inf]).to_numpy()
    return _infinity(name, cells, infinite) if infinite.any() else None


def _broken_text(name: str, cells: pd.Series) -> Problem | None:
    """Find halves of characters, which reading with errors="surrogateescape" leaves behind."""
    texts = [text for text in pd.unique(cells) if isinstance(text, str)]
    broken = [text for text in texts if not _is_unicode(text)]
    if not broken:
        return None
    row = cells.index[cells.isin(broken)][0]
    text = f"Column {name!r} cannot be written as UTF-8, first in row {row + 1}: "
    return Problem(text + f"{_show(cells[row])}.", "Read the file with its own encoding in load().")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _infinity(name: str, values: pd.Series, infinite: NDArray[np.bool_]) -> Problem:
    first = values.index[infinite][0]
    rows = f"{infinite.sum():,} of {len(values):,} values, first in row {first + 1}"
    return Problem(
        f"Column {name!r} is infinite in {rows}: {_show(values[first])}.",
        "See how load() or the source computes it, such as a division by zero; "
        "make it missing (NaN) where it is not known.",
    )


def _mixture(name: str, cells: pd.Series, kinds: pd.Series) -> Problem:
    rows = kinds.drop_duplicates().index[:2]
    examples = ", ".join(f"row {row + 1} is {_show(cells[row])}" for row in rows)
    held = " and ".join(kinds[rows])
    return Problem(
        f"Column {name!r} holds {held}: {examples}.",
        f"Make it one type in load(), such as text with dtype={{{name!r}: str}}.",
    )


def kind_of(cell: type) -> str:
    """Return what cells of a type hold, in words."""
    for kind, types in KINDS.items():
        if issubclass(cell, types):
            return kind
    return f"values of type {cell.__name__}"


def _kind(value: object) -> str:
    return kind_of(type(value))


def _target_problems(values: pd.Series, project: Project) -> list[Problem]:
    name, positive = project.data.target, project.data.positive
    known = values[values.notna()]
    labels = plain(known)
    classes = pd.unique(labels).tolist()
    numeric = labels.dtype.kind in "iuf"
    fraction = numeric and any(value != int(value) for value in classes)
    dates = known.dtype.kind == "M" or _are_dates(known)
    if dates or fraction or (numeric and len(classes) > MANY_VALUES):
        shown = few(known.unique() if dates else classes)
        text = f"The target {name!r} looks like a quantity, not classes: {shown}."
        fix = (
            "This project classifies: bin the target in load(), such as with "
            "pd.cut(...).astype(str), or turn it into text if these are classes."
        )
        return [Problem(text, fix)]
    if len(classes) > max(MANY_VALUES, len(known) / 2):
        text = f"The target {name!r} has {len(classes):,} classes in {len(known):,} rows."
        return [Problem(text, "Name the column of the classes in data.target.")]
    if len(classes) == 2 and positive not in classes:
        text = f"data.positive is {positive!r}, but the classes are {few(sorted(classes))}."
        return [Problem(text, _positive_advice(positive, classes))]
    return []


def _positive_advice(positive: object, classes: list[Any]) -> str:
    if isinstance(positive, bool):
        words = ("yes", "on", "true") if positive else ("no", "off", "false")
        meant = next((value for value in classes if str(value).lower() in words), classes[0])
        return (
            "YAML reads yes, no, on, off, true and false as booleans: quote the class, "
            f"as in positive: '{meant}'."
        )
    same = [value for value in classes if str(value).lower() == str(positive).lower()]
    if same and not isinstance(same[0], str):
        return f"Write it without quotes: positive: {str(same[0]).lower()}"
    if same and not isinstance(positive, str):
        return f"Quote it: positive: '{same[0]}'"
    hint = "" if positive is None else near(str(positive), classes)
    return hint or "Set it to one of them, with quotes if it is text."


def _group_problems(name: str, values: pd.Series) -> list[Problem]:
    missing = np.flatnonzero(values.isna())
    if not len(missing):
        return []
    text = (
        f"split.group is {name!r}, which is missing in {len(missing):,} of {len(values):,} rows, "
        f"first in row {missing[0] + 1}: it is not known what they belong to."
    )
    return [Problem(text, "Fill it in load(), with a group of its own for a row that has none.")]


def _time_problems(name: str, values: pd.Series) -> list[Problem]:
    if _is_text(values):
        parsed = pd.to_datetime(values.astype(object), format="ISO8601", utc=True, errors="coerce")
        wrong = (parsed.isna() & values.notna()).to_numpy()
        if not wrong.any():
            return []
        row = int(np.flatnonzero(wrong)[0])
        text = (
            f"split.time is {name!r}, whose text would not sort by time: row {row + 1} is "
            f"{_show(values.iloc[row])}, which is no date of ISO 8601 from 1678 to 2261."
        )
        return [Problem(text, "Parse it in load(), with pd.to_datetime(..., format='%d/%m/%Y').")]
    if not values.notna().any():
        return [Problem(f"split.time is {name!r}, which is missing in all rows.", "")]
    if values.dtype.kind == "M" or _is_numeric(values) or _are_dates(values):
        return []
    return [Problem(f"split.time is {name!r}, which holds neither times nor numbers.", "")]


def _slice_problems(
    item: str | dict[str, list[float]],
    frame: pd.DataFrame,
    project: Project,
    source: str,
    validated: bool,
) -> list[Problem]:
    name = item if isinstance(item, str) else next(iter(item))
    for field, columns in (("target", [project.data.target]), ("id", project.data.ids)):
        if name in columns:
            return [Problem(f"gate.slices names {name!r}, the {field}.", "Name a feature.")]
    if name not in frame:
        text = f"gate.slices names {name!r}, but {source} has no such column."
        return [Problem(text, near(name, frame))]
    values, least = frame[name], project.gate.min_slice_rows
    if isinstance(item, str):
        counts = values.value_counts()
        if len(counts) <= MANY_VALUES or counts.iloc[0] >= least:
            return []
        text = (
            f"gate.slices names {name!r}, whose {len(counts):,} values have at most "
            f"{counts.iloc[0]:,} rows each: no slice reaches the {least} rows that it is judged by."
        )
        return [Problem(text, "Cut a number at edges, group the values, or remove the slice.")]
    if _is_numeric(values):
        return []
    numbers = pd.to_numeric(values.astype(object), errors="coerce")
    wrong = (numbers.isna() & values.notna()).to_numpy()
    if numbers.notna().any() and not validated:
        return []
    row = int(np.flatnonzero(wrong)[0]) if wrong.any() else 0
    text = f"gate.slices cuts {name!r} at edges, but the column is not numeric: row {row + 1} is "
    fix = f"Write `- {name}` to slice by its values, or make it a number in load()."
    return [Problem(text + f"{_show(values.iloc[row])}.", fix)]


def _is_numeric(values: pd.Series) -> bool:
    if values.dtype == object:
        kinds = ("integer", "floating", "mixed-integer-float", "decimal")
        return pd.api.types.infer_dtype(values, skipna=True) in kinds
    is_number = pd.api.types.is_numeric_dtype(values)
    return bool(is_number and not pd.api.types.is_bool_dtype(values))


def _is_text(values: pd.Series) -> bool:
    if values.dtype.kind in "iufcbmM":
        return False
    return pd.api.types.infer_dtype(values.astype(object), skipna=True) == "string"


def _are_dates(values: pd.Series) -> bool:
    """Whether objects are dates; those that pandas cannot hold as a timestamp are not."""
    if values.dtype != object:
        return False
    dated = pd.to_datetime(values, format="mixed", utc=True, errors="coerce")
    return bool(
        values.dropna().map(_kind).eq(DATES).all() and (dated.notna() | values.isna()).all()
    )


def _show(value: object) -> str:
    return shorten(repr(value.item() if isinstance(value, np.generic) else value))
