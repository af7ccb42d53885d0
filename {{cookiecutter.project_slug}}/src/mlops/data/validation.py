"""Check rows against the suites in expectations/ (Great Expectations)."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlops.data.dataset import RawData
from mlops.data.explanation import EXAMPLES, NOT_CHECKED, TYPE_CHECKS, explain, shorten
from mlops.data.validation_page import write_page
from mlops.errors import ConfigError
from mlops.results import ExpectationResult, Validation, read_result, write_result

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation import Expectation

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

Suites = Mapping[Path, Sequence[str]]


def validate_rows(raw: RawData, suites: Suites, folder: Path) -> Validation:
    """Check rows and write validation.json and validation.html.

    Rows that passed the same suites before are not checked again: Great Expectations takes
    longer to import than to check a million rows.

    Parameters
    ----------
    suites : mapping of suite file to columns
        Each suite sees only its columns. An expectation that two suites share is checked once.
    """
    # Text as categories halves the time: each distinct value is compared once.
    texts = raw.frame.select_dtypes("object").columns
    compact = raw.frame.astype(dict.fromkeys(texts, "category")).reset_index(drop=True)
    key = _key(compact, suites)
    page = folder / "validation.html"
    with contextlib.suppress(ConfigError):  # of another version, damaged, or not there
        earlier = read_result(folder, Validation)
        same = key and (earlier.key, earlier.data_digest) == (key, raw.digest)
        if same and earlier.passed and page.is_file():
            return earlier
    results = _check_suites(raw.frame, compact, suites)
    validation = Validation(
        data_digest=raw.digest, key=key, rows=len(compact), expectations=tuple(results)
    )
    write_page(validation, compact, page)
    write_result(folder, validation)
    return validation


def read_suite(file: Path) -> ExpectationSuite:
    """Read a suite in Great Expectations' JSON format.

    Raises
    ------
    ConfigError
        The file is missing, is not JSON, is empty, or has an unknown or invalid expectation.
    """
    import great_expectations as gx

    content = None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        suite = gx.ExpectationSuite(**content)
    except FileNotFoundError:
        raise ConfigError(f"{file} does not exist.", "Restore it from git.") from None
    except Exception as error:
        named = None if content is None else _first_invalid(file, content)
        whole = ConfigError(f"{file} is not a valid suite: {shorten(error, 300)}")
        raise named or whole from error
    if not content.get("expectations"):
        raise ConfigError(
            f"{file} has no expectations: nothing would be checked.",
            "Restore it from git, or add expectations; `mlops adopt` proposes some.",
        )
    # Great Expectations silently drops what it does not know.
    known = {expectation.expectation_type for expectation in suite.expectations}
    unknown = sorted({item["type"] for item in content["expectations"]} - known)
    if unknown or len(suite.expectations) != len(content["expectations"]):
        names = ", ".join(unknown) or "some kwargs"
        raise ConfigError(
            f"{file} has expectations that Great Expectations cannot use: {names}.",
            "Check each expectation's type and kwargs.",
        )
    for expectation in suite.expectations:
        if reason := _contradiction(expectation.configuration.kwargs):
            raise _invalid(file.name, expectation.configuration.to_json_dict(), reason)
    return suite


def _contradiction(kwargs: Mapping[str, Any]) -> str:
    """Return why no data could meet an expectation, where Great Expectations does not say so."""
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        return f"min_value ({low}) is greater than max_value ({high})"
    weights = (kwargs.get("partition_object") or {}).get("weights")
    if weights and not math.isclose(sum(weights), 1, abs_tol=1e-6):
        return f"the weights sum to {sum(weights):g}, not 1"
    for pattern in [kwargs.get("regex"), *(kwargs.get("regex_list") or [])]:
        try:
            re.compile(pattern or "")
        except (re.error, TypeError) as error:
            return f"{pattern!r} is not a regular expression: {error}"
    return ""


def _first_invalid(file: Path, content: Any) -> ConfigError | None:
    """Return an error for the first expectation that cannot be constructed on its own."""
    import great_expectations as gx

    items = content.get("expectations") if isinstance(content, dict) else None
    for item in items if isinstance(items, list) else []:
        try:
            gx.ExpectationSuite(name="one", expectations=[item])
        except Exception as error:
            reason = str(error).partition("__root__")[2] or str(error).partition("\n")[2]
            return _invalid(file.name, item, reason or str(error))
    return None


def _invalid(suite: str, item: Any, reason: str) -> ConfigError:
    """Return an error that names the suite, the expectation, its column and the reason."""
    item = item if isinstance(item, dict) else {}
    kwargs = item.get("kwargs")
    column = kwargs.get("column") if isinstance(kwargs, dict) else None
    where = f" of column {column!r}" if column else ""
    return ConfigError(
        f"{suite}: {item.get('type', 'an expectation')}{where} is invalid: "
        f"{shorten(' '.join(reason.split()), 300)}.",
        "Correct its kwargs in expectations/.",
    )


def _key(frame: pd.DataFrame, suites: Suites) -> str:
    """Return the SHA-256 of all that determines the result; "" if it depends on the time."""
    texts = {str(file): file.read_text("utf-8") for file in suites if file.is_file()}
    if any("$PARAMETER" in text for text in texts.values()):  # may refer to now()
        return ""
    parts = {
        "suites": [[text, list(suites[Path(file)])] for file, text in texts.items()],
        "types": frame.dtypes.astype(str).tolist(),
        "versions": [importlib.metadata.version(name) for name in ("great_expectations", "pandas")],
    }
    key = hashlib.sha256(json.dumps(parts).encode())
    key.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return key.hexdigest()


def _check_suites(
    frame: pd.DataFrame, compact: pd.DataFrame, suites: Suites
) -> list[ExpectationResult]:
    """Check each suite against its columns; ordered by column, those of the table first."""
    results: list[ExpectationResult] = []
    seen: set[str] = set()
    for file, columns in suites.items():
        suite = read_suite(file)
        expectations = [e for e in suite.expectations if _is_new(e, seen)]
        types = [e for e in expectations if e.expectation_type.endswith(TYPE_CHECKS)]
        typed = {e.configuration.kwargs["column"] for e in types} & {*columns}
        # The copy joins the columns' memory, or each expectation would do so again.
        rows = compact[[*columns]].assign(**{c: frame[c].array for c in typed}).copy()
        results += [
            explain(result, suite.name, rows) for result in _check(file.name, rows, expectations)
        ]
    places = {name: place for place, name in enumerate(["", *map(str, compact)])}

    def order(result: ExpectationResult) -> tuple[int, bool]:
        consequence = result.observed.startswith(NOT_CHECKED)
        return places.get(result.column, len(places)), consequence

    return sorted(results, key=order)


def _is_new(expectation: Expectation, seen: set[str]) -> bool:
    config = expectation.configuration
    key = json.dumps([config.type, config.kwargs], sort_keys=True, default=str)
    new = key not in seen
    seen.add(key)
    return new


def _check(
    file: str, rows: pd.DataFrame, expectations: Sequence[Expectation]
) -> list[ExpectationValidationResult]:
    """Run expectations, asking for details only where they are not known: they take time."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    definition = asset.add_batch_definition_whole_dataframe("all")
    batch = definition.get_batch(batch_parameters={"dataframe": rows})

    def run(chosen: Sequence[Any], result_format: Any) -> list[ExpectationValidationResult]:
        if not chosen:
            return []
        suite = gx.ExpectationSuite(name="rows", expectations=[*chosen])
        try:
            return list(batch.validate(suite, result_format=result_format).results)
        except Exception as error:  # Great Expectations passes on whatever an expectation raises
            for one in chosen if len(chosen) > 1 else ():
                run([one], result_format)
            config = chosen[0].configuration if len(chosen) == 1 else None
            item = config.to_json_dict() if config else {}
            raise _invalid(file, item, str(error)) from error

    # If it passes, no row fails.
    strict = [getattr(expectation, "mostly", None) == 1 for expectation in expectations]
    results = run([e for e, yes in zip(expectations, strict, strict=True) if yes], "BOOLEAN_ONLY")
    results += run([e for e, yes in zip(expectations, strict, strict=True) if not yes], "BASIC")
    configs = [result.expectation_config for result in results if not result.success]
    failed = [config.to_domain_obj() for config in configs if config]
    details = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES}
    return [r for r in results if r.success] + run(failed, details)
