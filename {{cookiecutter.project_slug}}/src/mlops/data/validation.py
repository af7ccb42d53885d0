"""Check rows against the suites in expectations/ (Great Expectations)."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlops.data.dataset import RawData
from mlops.data.explanation import EXAMPLES, NOT_CHECKED, TYPE_CHECKS, explain, shorten
from mlops.data.suites import invalid, read_suite
from mlops.data.validation_page import write_page
from mlops.errors import ConfigError
from mlops.results import ExpectationResult, Validation, read_result, write_result

if TYPE_CHECKING:
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
            explain(result, suite.name, rows) for result in _check(file, rows, expectations)
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
    file: Path, rows: pd.DataFrame, expectations: Sequence[Expectation]
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
            named = [one.configuration.to_json_dict() for one in chosen]
            raise invalid(file, [(item, shorten(error, 300)) for item in named]) from error

    # If it passes, no row fails.
    strict = [getattr(expectation, "mostly", None) == 1 for expectation in expectations]
    results = run([e for e, yes in zip(expectations, strict, strict=True) if yes], "BOOLEAN_ONLY")
    results += run([e for e, yes in zip(expectations, strict, strict=True) if not yes], "BASIC")
    configs = [result.expectation_config for result in results if not result.success]
    failed = [config.to_domain_obj() for config in configs if config]
    details = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES}
    return [r for r in results if r.success] + run(failed, details)
