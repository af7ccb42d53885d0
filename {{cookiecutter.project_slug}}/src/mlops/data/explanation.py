"""Put a result of Great Expectations into words: what was expected, what the data holds."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlops.results import ExpectationResult

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

EXAMPLES = 5
LONGEST_TEXT = 200
TYPE_CHECKS = ("_of_type", "_in_type_list")
NOT_CHECKED = "not checked"
# Expectations of numbers, or else their errors are about how they compute.
OF_NUMBERS = re.compile(
    "_(mean|median|stdev|sum|z_scores|quantile_values|increasing|decreasing|between)"
)


def explain(
    result: ExpectationValidationResult, suite: str, frame: pd.DataFrame
) -> ExpectationResult:
    """Return what was expected and observed, with the first rows of ``frame`` that fail.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        With the index 0 to ``n_rows`` - 1.
    """
    config = result.expectation_config
    assert config is not None
    column = str(config.kwargs.get("column", ""))
    return ExpectationResult(
        suite=suite,
        column=column,
        rule=_rule(config.type, config.kwargs),
        passed=bool(result.success),
        **_observe(result, config, frame),
    )


def shorten(value: object, longest: int = 40) -> str:
    """Return a value as one line of text, with its length if it is cut."""
    text = str(value).replace("\n", " ")
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"


def near(name: str, known: Iterable[object]) -> str:
    """Return which known name was probably meant; "" if none is like it."""
    names = [str(value) for value in known]
    same = [other for other in names if other.strip() == name.strip() and other != name]
    close = same or difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def _rule(kind: str, kwargs: Mapping[str, Any]) -> str:
    """Return what is expected; Great Expectations' renderer takes longer than the check."""
    words = kind.removeprefix("expect_").removeprefix("column_").replace("_", " ")
    if "partition_object" in kwargs:
        return f"frequencies to be near {_frequencies(kwargs['partition_object'], 0)}"
    skipped = {"column", "batch_id", "mostly", "min_value", "max_value"}
    values = [value for name, value in kwargs.items() if name not in skipped and value is not True]
    if kwargs.keys() & {"min_value", "max_value"}:
        words += (
            f" {_number(kwargs.get('min_value', '-∞'))} and {_number(kwargs.get('max_value', '∞'))}"
        )
    if values:
        words += f": {'; '.join(_join(v) if isinstance(v, list) else shorten(v) for v in values)}"
    mostly = kwargs.get("mostly", 1)
    often = "" if mostly == 1 else f", in at least {100 * mostly:g}% of rows"
    return shorten(words, LONGEST_TEXT) + often


def _observe(
    result: ExpectationValidationResult, config: ExpectationConfiguration, frame: pd.DataFrame
) -> dict[str, Any]:
    column, found = config.kwargs.get("column"), result.result
    if column in frame and config.type.endswith(TYPE_CHECKS):
        return _types(frame[column], bool(result.success))
    if not found and not result.success:
        return {"observed": f"{NOT_CHECKED}: {_obstacle(result, config, frame)}"}
    if found and "element_count" not in found:
        return {"observed": _aggregate(found)}
    rows = found.get("partial_unexpected_index_list") or []
    values = found.get("partial_unexpected_list", []) if column and rows else []
    return _failing(found.get("unexpected_count", 0), len(frame), rows, values)


def _types(values: pd.Series, passed: bool) -> dict[str, Any]:
    """Name the rows whose value keeps a column from being numeric."""
    if passed or pd.api.types.is_numeric_dtype(values):
        return {"observed": str(values.dtype)}
    wrong = values[pd.to_numeric(values, errors="coerce").isna() & values.notna()]
    if wrong.empty:
        return {"observed": "no values" if values.isna().all() else "numbers as text"}
    rows = wrong.index[:EXAMPLES]
    return _failing(len(wrong), len(values), rows, wrong[rows], "are not numeric")


def _obstacle(
    result: ExpectationValidationResult, config: ExpectationConfiguration, frame: pd.DataFrame
) -> str:
    """Say why an expectation could not be computed."""
    column = config.kwargs.get("column")
    pair = [config.kwargs.get("column_A"), config.kwargs.get("column_B")]
    named = [column, *pair, *config.kwargs.get("column_list", [])]
    missing = [str(name) for name in named if name is not None and name not in frame]
    if missing:
        hint = " ".join(filter(None, (near(name, frame) for name in missing)))
        return f"{', '.join(missing)} is missing" + (f". {hint}" if hint else "")
    numeric = column and pd.api.types.is_numeric_dtype(frame[column])
    if column and not numeric and OF_NUMBERS.search(config.type):
        return "the column is not numeric"
    info = result.exception_info
    inner = next((v for v in info.values() if isinstance(v, dict)), info)
    return shorten(inner.get("exception_message"), LONGEST_TEXT)


def _aggregate(found: Mapping[str, Any]) -> str:
    """Return what was observed in a whole column or table."""
    details, value = found.get("details", {}), found.get("observed_value")
    if "observed_partition" in details:
        return _frequencies(details["observed_partition"], 1)
    groups = details.get("mismatched") or {
        kind: found.get(f"partial_{kind}_list") for kind in ("missing", "unexpected")
    }
    differences = [f"{kind}: {_join(values)}" for kind, values in groups.items() if values]
    if differences:
        return "; ".join(differences)
    if isinstance(value, list):
        return shorten(_join(value), LONGEST_TEXT)
    return "as expected" if value is None else _number(value)


def _failing(
    count: int, total: int, rows: Iterable[int], values: Iterable[Any], what: str = "fail"
) -> dict[str, Any]:
    fraction = count / max(total, 1)
    percent = f" ({fraction:.2%})" if count else ""
    return {
        "observed": f"{count:,} of {total:,} rows{percent} {what}",
        "count": count,
        "fraction": fraction,
        "rows": tuple(int(row) + 1 for row in list(rows)[:EXAMPLES]),
        "values": tuple(dict.fromkeys(map(_text, values))),
    }


def _frequencies(partition: Mapping[str, Any], digits: int) -> str:
    bins = [
        f"{_number(low)} to {_number(high)}" for low, high in pairwise(partition.get("bins", []))
    ]
    pairs = zip(partition.get("values") or bins, partition["weights"], strict=True)
    return shorten(", ".join(f"{shorten(v)} {w:.{digits}%}" for v, w in pairs), LONGEST_TEXT)


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return shorten(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _join(values: Iterable[Any]) -> str:
    return ", ".join(map(_text, values))


def _text(value: Any) -> str:
    return "missing" if pd.isna(value) else shorten(value)
