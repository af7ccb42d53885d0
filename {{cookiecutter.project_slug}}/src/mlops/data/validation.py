"""Runs the suites of expectations/ (Great Expectations) and tells what failed, where, how often."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlops.errors import ConfigError, DataError
from mlops.outputs import write_json
from mlops.pages import render

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationValidationResult

EXAMPLES = 5
LONGEST_VALUE = 40


@dataclass(frozen=True)
class Breach:
    """One expectation that the data breaks.

    Attributes
    ----------
    suite, column, rule : str
        Where it is written, what it is about ("" for the whole table), and what it asks for.
    found : str
        What the data holds instead.
    count : int or None
        How many rows break it; None where it is not about rows.
    share : float or None
        ``count`` as a share of the rows.
    rows : list of int
        The first few of them, counted from 1 after the header.
    values : list of str
        Their values, cut short.
    """

    suite: str
    column: str
    rule: str
    found: str
    count: int | None = None
    share: float | None = None
    rows: tuple[int, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Validation:
    """The outcome for one data set; ``expectations`` counts all that were checked."""

    digest: str
    rows: int
    expectations: int
    breaches: list[Breach]

    @property
    def passed(self) -> bool:
        return not self.breaches


def validate_rows(frame: pd.DataFrame, digest: str, suites: Mapping[str, list[str]]) -> Validation:
    """Check ``frame`` against suites.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
    digest : str
        Of the data; kept with the result.
    suites : mapping of suite file to columns
        Each suite sees only the columns listed with it. An expectation about a column that
        stands in two suites is checked once.
    """
    breaches: list[Breach] = []
    seen: set[str] = set()
    # Text as categories halves the time: each distinct value is compared once.
    texts = frame.select_dtypes("object").columns
    compact = frame.astype(dict.fromkeys(texts, "category"))
    for file, columns in suites.items():
        suite = read_suite(Path(file))
        suite.expectations = [e for e in suite.expectations if _is_new(e, seen)]
        breaches += _check(compact[columns], frame, suite)
    return Validation(digest, len(frame), len(seen), breaches)


def read_suite(file: Path) -> ExpectationSuite:
    """Read a suite in Great Expectations' own JSON.

    Raises
    ------
    ConfigError
        No such file, not JSON, or an expectation that Great Expectations does not know.
    """
    import great_expectations as gx

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        suite = gx.ExpectationSuite(**content)
    except FileNotFoundError:
        raise ConfigError(f"{file} does not exist.", "Restore it from git.") from None
    except Exception as error:
        raise ConfigError(f"{file} is not a suite: {_cut(str(error), 300)}") from error
    # Great Expectations leaves out what it does not know: a check that checks nothing.
    known = {expectation.expectation_type for expectation in suite.expectations}
    unknown = sorted({item["type"] for item in content["expectations"]} - known)
    if unknown or len(suite.expectations) != len(content["expectations"]):
        names = ", ".join(unknown) or "some kwargs"
        raise ConfigError(
            f"{file} holds what Great Expectations cannot use: {names}.",
            "Check each expectation's type and kwargs.",
        )
    return suite


def save_validation(validation: Validation, folder: Path) -> None:
    """Write validation.json and the page validation.html into ``folder``."""
    render(folder / "validation.html", "validation.html.j2", validation=validation)
    content = {**asdict(validation), "passed": validation.passed}
    write_json(folder / "validation.json", content)


def require_passed(content: Mapping[str, Any], digest: str) -> None:
    """Refuse data that `mlops validate` has not passed.

    Raises
    ------
    DataError
        The data was refused, or is not the data that was validated.
    """
    if content.get("digest") != digest:
        raise DataError("The data has changed since it was validated.", "Run `mlops validate`.")
    if not content.get("passed"):
        raise DataError(
            "The data did not pass its validation.", "See outputs/validation/validation.html."
        )


def _is_new(expectation: Any, seen: set[str]) -> bool:
    config = expectation.configuration
    key = json.dumps([config.type, config.kwargs], sort_keys=True, default=str)
    new = key not in seen
    seen.add(key)
    return new


def _check(compact: pd.DataFrame, frame: pd.DataFrame, suite: ExpectationSuite) -> list[Breach]:
    """Check with plain yes or no first, which is twice as fast, then what failed in detail."""
    if all(result.success for result in _run(compact, suite, "BOOLEAN_ONLY")):
        return []
    details: dict[str, Any] = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES}
    failed = [result for result in _run(compact, suite, details) if not result.success]
    breaches = [breach for r in failed if (breach := _explain(r, suite.name, frame))]
    return breaches or [Breach(suite.name, "", _rule(r), "not met") for r in failed]


def _run(
    frame: pd.DataFrame, suite: ExpectationSuite, result_format: Any
) -> list[ExpectationValidationResult]:
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all")
    found = batch.get_batch(batch_parameters={"dataframe": frame})
    return list(found.validate(suite, result_format=result_format).results)


def _explain(result: ExpectationValidationResult, suite: str, frame: pd.DataFrame) -> Breach | None:
    """Put a failed result into words; None if it only follows from another breach."""
    config = result.expectation_config
    assert config is not None
    column = str(config.kwargs.get("column", ""))
    rule = _rule(result).removeprefix(column).strip()
    if column and column not in frame:
        return None  # the table's own expectation names the missing column
    if config.type.endswith(("_of_type", "_in_type_list")):
        return _wrong_type(suite, column, rule, frame[column])
    found = dict(result.result)
    if not found:  # it could not be computed at all
        if any(name not in frame for name in config.kwargs.get("column_list", ())):
            return None
        wrong = column and not pd.api.types.is_numeric_dtype(frame[column])
        return None if wrong else Breach(suite, column, rule, _exception(result))
    count = found.get("unexpected_count")
    if count:
        rows = _positions(frame.index, found.get("partial_unexpected_index_list", []))
        values = found.get("partial_unexpected_list", []) if column else []
        share = count / max(len(frame), 1)
        text = f"{count:,} of {len(frame):,} rows ({share:.2%})"
        return Breach(suite, column, rule, text, count, share, rows, _values(values))
    return Breach(suite, column, rule, _observed(found))


def _rule(result: ExpectationValidationResult) -> str:
    """What the expectation asks for, in Great Expectations' own words."""
    from great_expectations.render.renderer.inline_renderer import InlineRenderer

    config = result.expectation_config
    assert config is not None
    if config.type == "expect_column_kl_divergence_to_be_less_than":
        part = config.kwargs["partition_object"]
        pairs = zip(part["values"], part["weights"], strict=True)
        shares = ", ".join(f"{value} {weight:.0%}" for value, weight in pairs)
        return f"shares must stay near {shares}"
    for content in InlineRenderer(render_object=result).get_rendered_content():
        value: Any = content.to_json_dict()["value"]
        if content.name == "atomic.prescriptive.summary" and "template" in value:
            params = {name: item["value"] for name, item in value.get("params", {}).items()}
            return _cut(Template(value["template"]).safe_substitute(params), 200)
    return config.type.replace("_", " ")


def _wrong_type(suite: str, column: str, rule: str, values: pd.Series) -> Breach:
    """Name the rows whose value keeps a column from being numeric."""
    if pd.api.types.is_numeric_dtype(values):
        return Breach(suite, column, rule, f"the column holds {values.dtype}")
    wrong = values[pd.to_numeric(values, errors="coerce").isna() & values.notna()]
    if wrong.empty:
        found = "no value at all" if values.isna().all() else "numbers as text"
        return Breach(suite, column, rule, found)
    rows = _positions(values.index, wrong.index[:EXAMPLES])
    share = len(wrong) / len(values)
    text = f"{len(wrong):,} of {len(values):,} rows ({share:.2%}) are no numbers"
    return Breach(suite, column, rule, text, len(wrong), share, rows, _values(wrong[:EXAMPLES]))


def _observed(found: Mapping[str, Any]) -> str:
    """What a whole-column or whole-table expectation found."""
    mismatched = found.get("details", {}).get("mismatched", {})
    partition = found.get("details", {}).get("observed_partition", {})
    if mismatched:
        parts = [f"{kind}: {', '.join(map(_cut, names))}" for kind, names in mismatched.items()]
        return "; ".join(parts)
    if partition:
        pairs = zip(partition["values"], partition["weights"], strict=True)
        return ", ".join(f"{_cut(str(value))} {weight:.1%}" for value, weight in pairs)
    lacking, extra = found.get("partial_missing_list"), found.get("partial_unexpected_list")
    parts = [f"missing: {', '.join(_values(lacking))}"] if lacking else []
    parts += [f"unexpected: {', '.join(_values(extra))}"] if extra else []
    return "; ".join(parts) or _cut(str(found.get("observed_value")))


def _exception(result: ExpectationValidationResult) -> str:
    info = result.exception_info
    inner = next((v for v in info.values() if isinstance(v, dict)), info)
    return "it could not be checked: " + _cut(str(inner.get("exception_message")), 200)


def _positions(index: pd.Index, labels: Iterable[Any]) -> tuple[int, ...]:
    """The first few rows of these labels, counted from 1."""
    return tuple(int(p) + 1 for p in index.get_indexer(pd.Index(list(labels)[:EXAMPLES])))


def _values(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(_cut("missing" if pd.isna(value) else str(value)) for value in values)


def _cut(text: str, longest: int = LONGEST_VALUE) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"
