"""Read a suite of expectations/, and refuse what cannot be checked or would check nothing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlops.data.explanation import near, shorten
from mlops.errors import ConfigError

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

# What an expectation cannot do without, though Great Expectations does: it then always passes.
NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "_in_type_list": ("type_list",),
    "_ordered_list": ("column_list",),
    "_columns_to_match_set": ("column_set",),
    "_kl_divergence_to_be_less_than": ("partition_object", "threshold"),
}


def read_suite(file: Path) -> ExpectationSuite:
    """Read a suite in Great Expectations' JSON format.

    Raises
    ------
    ConfigError
        The file is missing, is no suite, or is empty; or lists every expectation that is unknown,
        invalid, or would check nothing.
    """
    import great_expectations as gx

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file} does not exist.", "Restore it from git.") from None
    except ValueError as error:
        raise ConfigError(f"{file} is not valid JSON: {error}.", "Fix that line.") from None
    items = content.get("expectations") if isinstance(content, dict) else None
    if not isinstance(items, list) or not items:
        raise ConfigError(
            f"{file} has no expectations: nothing would be checked.",
            'Restore it from git, or list some: {"name": ..., "expectations": [...]}.',
        )
    found = [(item, reason) for item in items if (reason := _problem(item))]
    if found:
        raise invalid(file, found)
    try:
        return gx.ExpectationSuite(**content)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{file} is not a valid suite: {shorten(error, 300)}.") from error


def invalid(file: Path, found: Sequence[tuple[Any, str]]) -> ConfigError:
    """Return an error for expectations, each with the reason why it cannot be used."""
    lines = [f"{_name(item)} is invalid: {reason}." for item, reason in found]
    if len(lines) == 1:
        return ConfigError(f"{file.name}: {lines[0]}", f"Correct it in {file}.")
    text = f"{file.name} has {len(lines)} invalid expectations:\n  " + "\n  ".join(lines)
    return ConfigError(text, f"Correct them in {file}.")


def _name(item: Any) -> str:
    """Return an expectation's type, and its column."""
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        return shorten(item)
    kwargs = item.get("kwargs")
    column = kwargs.get("column") if isinstance(kwargs, dict) else None
    return f"{item['type']}" + (f" of column {column!r}" if column is not None else "")


def _problem(item: Any) -> str:
    """Return why an expectation cannot be used; "" if it can."""
    import great_expectations as gx
    from great_expectations.expectations import registry

    kind, kwargs = (item.get("type"), item.get("kwargs")) if isinstance(item, dict) else ("", None)
    if not isinstance(kind, str) or not isinstance(kwargs, dict):
        return 'an expectation is {"type": ..., "kwargs": {...}}'
    known = registry.list_registered_expectation_implementations()
    if kind not in known:
        return f"Great Expectations has no such expectation{_meant(kind, known)}"
    try:
        suite = gx.ExpectationSuite(name="one", expectations=[item])
    except Exception as error:  # Great Expectations passes on whatever an expectation raises
        return _first_errors(error, registry.get_expectation_impl(kind).__fields__)
    if not suite.expectations:  # it silently drops some
        return "its kwargs cannot be used"
    return next(_contradictions(kind, kwargs, suite.expectations[0]), "")


def _first_errors(error: Exception, fields: Mapping[str, object]) -> str:
    """Return what is wrong with each field, or with the expectation where no field is wrong."""
    listed = getattr(error, "errors", None)
    if listed is None:
        return shorten(error, 300).rstrip(".")
    problems: dict[str, str] = {}
    for item in listed():  # of the kinds that a field may have, the first is the usual one
        name = str(item["loc"][0])
        hint = _meant(name, fields) if item["type"] == "value_error.extra" else ""
        problems.setdefault(name, item["msg"].rstrip(".") + hint)
    whole = problems.pop("__root__", "")
    return "; ".join(f"{name}: {problem}" for name, problem in problems.items()) or whole


def _meant(name: str, known: Iterable[str]) -> str:
    hint = near(name, known)
    return f" (d{hint[1:]})" if hint else ""


def _contradictions(kind: str, kwargs: Mapping[str, Any], made: Expectation) -> Iterator[str]:
    """Yield why no data could meet, or none could fail, what Great Expectations accepts."""
    needed = next((names for end, names in NEEDED.items() if kind.endswith(end)), ())
    absent = [name for name in needed if kwargs.get(name) in (None, [], {})]
    if absent or (kind.endswith("_set") and kwargs.get("value_set", "") == []):
        yield f"it has no {', '.join(absent) or 'values in value_set'}, so it checks nothing"
    if any(isinstance(value, list | dict) for value in kwargs.get("value_set", ())):
        yield "value_set holds a list or an object, which no cell is"
    if kwargs.get("mostly") == 0:
        yield "mostly is 0, so it checks nothing"
    if kind.endswith("_between") and "quantile" not in kind:
        yield from _range_problems(made)
    for pattern in [kwargs.get("regex", ""), *kwargs.get("regex_list", [])]:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            yield f"{pattern!r} is not a regular expression: {error}"
    if isinstance(partition := kwargs.get("partition_object"), dict):
        yield from _partition_problems(partition)
    if isinstance(ranges := kwargs.get("quantile_ranges"), dict):
        yield from _quantile_problems(ranges)


def _range_problems(made: Expectation) -> Iterator[str]:
    low: Any = getattr(made, "min_value", None)
    high: Any = getattr(made, "max_value", None)
    if low is None and high is None:
        yield "it has neither min_value nor max_value, so it checks nothing"
    elif type(low) is type(high) and not isinstance(low, dict) and low > high:
        yield f"min_value ({low}) is greater than max_value ({high})"


def _partition_problems(partition: Mapping[str, Any]) -> Iterator[str]:
    weights, bins = _numbers(partition.get("weights")), partition.get("bins")
    values = partition.get("values") or bins
    if not weights or not isinstance(values, list):
        yield "partition_object needs weights, as numbers, and values or bins"
        return
    if min(weights) < 0:
        yield f"the weight {min(weights)} is negative"
    total = sum([*weights, *_numbers(partition.get("tail_weights"))])
    if not math.isclose(total, 1, abs_tol=1e-6):
        yield f"the weights sum to {total:g}, not 1"
    if len(values) != len(weights) + (values is bins):
        yield f"partition_object has {len(values)} values or bins, and {len(weights)} weights"


def _quantile_problems(ranges: Mapping[str, Any]) -> Iterator[str]:
    quantiles, limits = _numbers(ranges.get("quantiles")), ranges.get("value_ranges") or []
    if not quantiles or len(quantiles) != len(limits):
        yield "quantile_ranges needs as many value_ranges as quantiles"
    if not all(0 <= quantile <= 1 for quantile in quantiles):
        yield f"the quantiles {quantiles} are not all from 0 to 1"
    for limit in map(_numbers, limits):  # one that is open has a null, and cannot be empty
        if limit != sorted(limit):
            yield f"the range {limit} is empty"


def _numbers(values: object) -> list[float]:
    """Return a list of numbers; an empty one if it is something else."""
    numeric = isinstance(values, list) and all(isinstance(value, int | float) for value in values)
    return values if numeric else []  # type: ignore[return-value]
