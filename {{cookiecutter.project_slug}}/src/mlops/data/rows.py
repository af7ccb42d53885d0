"""How a row looks to a model, and how it travels: the one definition that all steps share.

Training, the examples saved with a model, the smoke test, the servers and batch scoring use it, so
that a model is served what it was trained on. A column is of one of four kinds::

    number    float64             JSON number
    boolean   bool                JSON true or false
    datetime  datetime64[ns]      text in ISO 8601; other time zones are converted to UTC
    string    object, of str      text

A missing value is NaN (NaT in dates), and null in JSON; booleans are objects where one is missing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from mlops.data.table import DATES, NUMBERS, TEXT, TRUTH, kind_of
from mlops.errors import DataError

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

Columns = Mapping[str, Any]  # of some rows: arrays of shape (n_rows,)

LARGEST: Final = 2**53 - 1  # beyond, neither a float nor most JSON parsers hold every integer
# MLflow's type names, their descriptions, and their types in JSON.
NUMERIC: Final = ("integer", "long", "float", "double")
KINDS: Final[dict[str, tuple[str, Any]]] = {
    **dict.fromkeys(NUMERIC, ("a number", (int, float))),
    "boolean": ("true or false", (bool,)),
    "datetime": ("a date and time such as 2026-01-31T12:00:00", (str,)),
    "string": ("text", (str,)),
}
BOOLEANS: Final = {True: True, False: False} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}


@dataclass(frozen=True)
class Column:
    """An input of a model: its kind in MLflow's words, and whether it always has a value."""

    name: str
    kind: str
    required: bool

    @property
    def dtype(self) -> Any:
        """The type of a served column's values, where it is no date."""
        if self.kind in NUMERIC:
            return np.float64
        return bool if self.kind == "boolean" and self.required else object

    def find_problem(self, row: Mapping[str, Any]) -> str:
        """Return what is wrong with this column's value in a row; "" if nothing is."""
        if self.name not in row:
            return "is missing from the row"
        value = row[self.name]
        if value is None:
            return "is null, but the training data had no missing values" if self.required else ""
        expected, kinds = KINDS.get(self.kind, KINDS["string"])
        valid = isinstance(value, kinds) and (self.kind == "boolean" or not isinstance(value, bool))
        if valid and self.kind == "datetime":
            valid = not pd.isna(pd.to_datetime(value, errors="coerce"))
        if not valid:
            return f"should be {expected}, is {json.dumps(value)[:40]}"
        if self.kind in NUMERIC and abs(value) > sys.float_info.max:
            return "is out of range"
        return ""

    def convert(self, values: pd.Series) -> pd.Series:
        """Return a file's column in the form of training; invalid values become missing."""
        if self.kind in NUMERIC:
            known = _drop(values, bool | np.bool_)
            numbers = pd.to_numeric(known, errors="coerce").astype(np.float64)
            return numbers.where(np.isfinite(numbers))
        if self.kind == "datetime":
            times = _drop(values, int | float | np.number)  # not nanoseconds since 1970
            return _naive(pd.to_datetime(times, errors="coerce", format="mixed", utc=True))
        if self.kind == "boolean":
            return values.map(BOOLEANS).astype(object)
        return values.astype(object).where(values.map(lambda value: isinstance(value, str)))

    def describe_problem(self, value: Any) -> str:
        """Return why a file's value could not be converted."""
        if pd.isna(value):
            return "is missing, but the training data had no missing values"
        expected, _ = KINDS.get(self.kind, KINDS["string"])
        return f"should be {expected}, is {str(value)[:40]!r}"


def inputs_of(signature: ModelSignature) -> list[Column]:
    """Return the inputs that a model was saved with."""
    return [Column(c.name, c.type.name, c.required) for c in signature.inputs.inputs]


def serve(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the features in the form in which a server rebuilds them.

    Raises
    ------
    DataError
        A column has values that a request cannot carry; the error names it.
    """
    return pd.DataFrame(
        {name: _serve(str(name), values) for name, values in frame.items()}, index=frame.index
    )


def describe(frame: pd.DataFrame) -> list[Column]:
    """Return the columns of served rows, by their values."""
    return [
        Column(str(name), _kind(values), bool(values.notna().all()))
        for name, values in frame.items()
    ]


def write(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return served rows as the records of a request."""
    columns = {str(name): _write(values) for name, values in frame.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def read(columns: Sequence[Column], records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the records of a request, in which no problem was found, as served rows."""
    return pd.DataFrame(read_columns(columns, records))


def read_columns(columns: Sequence[Column], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the columns of `read` as arrays: a frame takes longer than scoring a row."""
    return {column.name: _read(column, [row[column.name] for row in records]) for column in columns}


def arrays(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of served rows as arrays."""
    return {str(name): values.to_numpy() for name, values in frame.items()}


def find_problems(
    columns: Sequence[Column], records: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield what prevents the records of a request from being scored."""
    known = {column.name for column in columns}
    for number, row in enumerate(records):
        for name in row.keys() - known:
            yield {"row": number, "column": name[:80], "problem": "is not an input of the model"}
        for column in columns:
            if problem := column.find_problem(row):
                yield {"row": number, "column": column.name, "problem": problem}


def _serve(name: str, values: pd.Series) -> pd.Series:
    if isinstance(values.dtype, pd.CategoricalDtype):
        if not all(isinstance(category, str) for category in values.cat.categories):
            raise DataError(
                f"The column {name!r} is categorical, but its categories are not text.",
                "In load(), make it text with .astype(str), or a number with .astype(float).",
            )
        values = values.astype(object)
    if pd.api.types.is_datetime64_any_dtype(values):
        return _dates(name, values)
    if pd.api.types.is_bool_dtype(values.dtype):
        return _booleans(values)
    if pd.api.types.is_any_real_numeric_dtype(values):
        return _numbers(name, values)
    if isinstance(values.dtype, pd.StringDtype):
        return _objects(values)
    kinds = {kind_of(cell) for cell in set(map(type, values.dropna()))}
    if kinds <= {TEXT}:
        return _objects(values)
    if kinds == {TRUTH}:
        return _booleans(values.map(bool, na_action="ignore"))
    if kinds == {NUMBERS}:
        return _numbers(name, values)
    if kinds == {DATES}:
        return _dates(name, values)
    raise DataError(_describe_mixture(name, values), "Give it one kind of values in load().")


def _booleans(values: pd.Series) -> pd.Series:
    return values.astype(bool) if values.notna().all() else _objects(values)


def _objects(values: pd.Series) -> pd.Series:
    plain = values.astype(object)
    return plain.where(plain.notna(), np.nan)


def _drop(values: pd.Series, types: Any) -> pd.Series:
    """Return the values of a file, those of some types as missing."""
    kind = values.dtype.type
    if isinstance(values.dtype, np.dtype) and not issubclass(kind, np.object_ | types):
        return values
    cells = values.astype(object)
    return cells.mask(cells.map(lambda cell: isinstance(cell, types)).astype(bool))


def _numbers(name: str, values: pd.Series) -> pd.Series:
    floats = values.map(_float, na_action="ignore") if values.dtype == object else values
    numbers = floats.to_numpy(dtype=np.float64, na_value=np.nan)
    for what, wrong in (
        ("is not finite", np.isinf(numbers)),
        (f"has a whole number beyond ±{LARGEST:,}", _are_whole(values) & (abs(numbers) > LARGEST)),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"The column {name!r} {what}, first in row {row + 1}: {numbers[row]:.17g}.",
                "A request cannot carry it exactly. An identifier is text, or data.id; "
                "infinity is a missing value or a large number: decide in load().",
            )
    return pd.Series(numbers, index=values.index)


def _are_whole(values: pd.Series) -> Any:
    """Return whether the values are integers by their type: a float may round them."""
    if values.dtype == object:
        return values.map(lambda value: isinstance(value, int | np.integer)).to_numpy(dtype=bool)
    return pd.api.types.is_integer_dtype(values)


def _dates(name: str, values: pd.Series) -> pd.Series:
    try:
        return _naive(pd.to_datetime(values, utc=True))
    except (pd.errors.OutOfBoundsDatetime, OverflowError):
        raise DataError(
            f"The column {name!r} has a date before 1678 or after 2261.",
            "Decide in load() what it means; often it stands for a missing date.",
        ) from None


def _naive(values: pd.Series) -> pd.Series:
    """Drop the time zone, which is UTC."""
    naive: pd.Series = values.dt.tz_localize(None).astype("datetime64[ns]")
    return naive


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return np.inf


def _describe_mixture(name: str, values: pd.Series) -> str:
    """Say which types of values a column has, and where each is first."""
    kinds: dict[str, tuple[int, Any]] = {}
    for row, value in enumerate(values, start=1):
        if pd.api.types.is_list_like(value) or not pd.isna(value):
            kinds.setdefault(type(value).__name__, (row, value))
    found = ", ".join(f"{kind} ({str(v)[:40]!r} in row {row})" for kind, (row, v) in kinds.items())
    return f"The column {name!r} holds values that a request cannot carry as one kind: {found}."


def _kind(values: pd.Series) -> str:
    if pd.api.types.is_datetime64_any_dtype(values):
        return "datetime"
    if pd.api.types.is_bool_dtype(values.dtype):
        return "boolean"
    if pd.api.types.is_numeric_dtype(values):
        return "double"
    first = values.first_valid_index()
    return "boolean" if first is not None and not isinstance(values[first], str) else "string"


def _write(values: pd.Series) -> list[Any]:
    missing = values.isna()
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.map(pd.Timestamp.isoformat, na_action="ignore")
    plain = values.astype(object).tolist()
    return [None if gone else value for value, gone in zip(plain, missing, strict=True)]


def _read(column: Column, values: list[Any]) -> Any:
    """Return a column; null becomes NaN."""
    known = [np.nan if value is None else value for value in values]
    if column.kind == "datetime":
        times = pd.to_datetime(known, format="mixed", utc=True)
        return times.tz_localize(None).as_unit("ns").to_numpy()
    return np.array(known, column.dtype)
