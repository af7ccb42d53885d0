"""The page of a validation shows what passed as well as what failed, and how each column looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlops.data.dataset import RawData
from mlops.data.validation import validate_rows
from mlops.data.validation_page import draw, write_page
from mlops.errors import ConfigError
from mlops.results import ExpectationResult, Validation
from test_report import LINK, SCRIPT, TABLE, Page

SUITE = [
    ("expect_table_row_count_to_be_between", {"min_value": 1, "max_value": 9000}),
    ("expect_column_values_to_be_between", {"column": "near", "min_value": 0, "max_value": 3}),
    ("expect_column_values_to_not_be_null", {"column": "near", "mostly": 0.5}),
    ("expect_column_values_to_be_in_type_list", {"column": "near", "type_list": ["float64"]}),
    ("expect_column_values_to_be_in_type_list", {"column": "note", "type_list": ["str"]}),
    ("expect_column_distinct_values_to_equal_set", {"column": "note", "value_set": ["x", "y"]}),
    ("expect_column_max_to_be_between", {"column": "near", "min_value": 1, "max_value": 4}),
]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    expectations = [{"type": kind, "kwargs": kwargs} for kind, kwargs in SUITE]
    file = tmp_path / "raw.json"
    file.write_text(json.dumps({"name": "raw", "expectations": expectations}), "utf-8")
    return file


def make_frame(near: float = 1.5) -> pd.DataFrame:
    """Return 8 rows, with an index that numbers some of them alike."""
    columns = {"near": [0, near, 2, 3, 3, 3, None, None], "note": ["x", "y"] * 4, "free": True}
    return pd.DataFrame(columns, index=[0, 1, 2, 3] * 2)


def run(frame: pd.DataFrame, suite: Path) -> Validation:
    raw = RawData(frame, "d" * 64, Path("rows.csv"))
    return validate_rows(raw, {suite: list(frame)}, suite.parent)


def test_passed_expectations_have_an_observed_value(suite: Path) -> None:
    validation = run(make_frame(), suite)
    assert validation.passed
    assert [(r.column, r.observed) for r in validation.expectations] == [
        ("", "8"),
        ("near", "0 of 8 rows fail"),
        ("near", "float64"),
        ("near", "2 of 8 rows (25.00%) fail"),
        ("near", "3"),
        ("note", "object"),
        ("note", "as expected"),
    ]
    page = Page((suite.parent / "validation.html").read_text("utf-8"))
    for result in validation.expectations:
        assert result.rule in page.text
        assert result.observed in page.text
    assert "All 7 expectations are met on 8 rows of 3 columns" in page.text
    assert "no expectations" in page.text  # of free


def test_failed_expectations_come_first_with_rows_and_values(suite: Path) -> None:
    frame = make_frame(near=7).assign(note=["x", "y", "z", "x"] * 2)
    validation = run(frame, suite)
    assert [(r.column, r.observed, r.rows, r.values) for r in validation.failed] == [
        ("near", "1 of 8 rows (12.50%) fail", (2,), ("7.0",)),
        ("near", "7", (), ()),
        ("note", "unexpected: z", (), ()),
    ]
    text = Page((suite.parent / "validation.html").read_text("utf-8")).text
    places = [text.index(word) for word in ("2 of 4 failed", "1 of 2 failed", "1 passed")]
    assert places == sorted(places)
    assert text.index("1 of 8 rows") < text.index("2 of 8 rows")


def test_rows_that_passed_are_not_checked_again(suite: Path) -> None:
    first = run(make_frame(), suite)
    page = suite.parent / "validation.html"
    drawn = page.read_bytes()
    page.write_text("kept", "utf-8")
    assert run(make_frame(), suite) == first
    assert page.read_text("utf-8") == "kept"
    assert run(make_frame(near=1.6), suite).passed
    assert page.read_text("utf-8") != "kept"
    page.write_text("kept", "utf-8")
    suite.write_text(suite.read_text("utf-8").replace("9000", "7"), "utf-8")
    assert not run(make_frame(near=1.6), suite).passed
    assert not run(make_frame(near=1.6), suite).passed
    suite.write_text(suite.read_text("utf-8").replace(": 7}", ": 9000}"), "utf-8")
    assert run(make_frame(), suite).passed
    assert page.read_bytes() == drawn
    (suite.parent / "validation.json").write_text('{"schema_version": 0}', "utf-8")
    assert run(make_frame(), suite).passed


def test_a_suite_that_depends_on_the_time_is_always_checked(suite: Path) -> None:
    text = suite.read_text("utf-8")
    suite.write_text(text.replace("9000", '{"$PARAMETER": "4500 * 2"}'), "utf-8")
    assert run(make_frame(), suite).passed
    page = suite.parent / "validation.html"
    page.write_text("kept", "utf-8")
    assert run(make_frame(), suite).passed
    assert page.read_text("utf-8") != "kept"
    suite.write_text(text.replace("9000", '{"$PARAMETER": "most"}'), "utf-8")
    with pytest.raises(ConfigError, match=r"No value found for \$PARAMETER most"):
        run(make_frame(), suite)


@pytest.mark.parametrize("passed", [True, False])
def test_values_and_names_are_escaped(tmp_path: Path, passed: bool) -> None:
    result = ExpectationResult(
        suite=LINK,
        column=SCRIPT,
        rule="be <good>",
        passed=passed,
        observed=TABLE,
        count=2,
        fraction=0.1,
        rows=(4, 9),
        values=(LINK, "x"),
    )
    frame = pd.DataFrame({SCRIPT: ["a", "b"] * 617, LINK: [SCRIPT, None] * 617})
    validation = Validation(data_digest="d" * 64, key="", rows=1234, expectations=(result,))
    write_page(validation, frame, tmp_path / "validation.html")
    page = Page((tmp_path / "validation.html").read_text("utf-8"))
    assert page.references == []
    assert page.tags.isdisjoint({"script", "img"})
    assert "1,234 rows" in page.text
    assert ("Failed" in page.text) != passed
    for shown in (SCRIPT, "be <good>", TABLE, LINK[:40]):
        assert shown in page.text
    for shown in (LINK, "first in rows 4, 9"):
        assert (page.text.count(shown) > (shown == LINK)) != passed


def test_many_columns_are_folded_except_those_that_failed(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.arange(900.0).reshape(3, 300)).rename(columns=str)
    results = [ExpectationResult(suite="raw", column=str(i), rule="r", passed=i != 7, observed="o") for i in range(300)]
    validation = Validation(data_digest="d", key="", rows=3, expectations=tuple(results))
    write_page(validation, frame, tmp_path / "validation.html")
    text = (tmp_path / "validation.html").read_text("utf-8")
    assert text.count("<details") == 300
    assert text.count('<details class="column" open>') == 1
    assert len(text) < 1_500_000


LATE = pd.Timestamp("2024-03-01 12:00", tz="Europe/Berlin")


@pytest.mark.parametrize(
    ("values", "missing", "ends", "bars"),
    [
        ([1, 2, 2, 4], 0, ("1", "4"), [1, 2, 0, 1]),
        ([0.5, None, 0.5], 1, ("0.5", "0.5"), None),
        ([1.0, np.inf, -np.inf, 3.0], 0, ("-inf", "inf"), [1, 0, 1]),
        ([-1.7e308, 1.7e308], 0, (), []),
        ([None, None], 2, (), []),
        ([LATE, LATE, pd.NaT], 1, (str(LATE), str(LATE)), None),
        ([pd.Timedelta(1, "h"), pd.Timedelta(3, "h")], 0, ("0 days 01:00:00", "0 days 03:00:00"), None),
        ([True, False, True], 0, (), [("True", 2), ("False", 1)]),
        (["b", "a", None, "b"], 1, (), [("b", 2), ("a", 1)]),
        (["b", 2, 2], 0, (), [("2", 2), ("b", 1)]),
        (list("aabcdefgh"), 0, (), [*[("a", 2), *[(c, 1) for c in "bcde"]], ("3 others", 3)]),
    ],
    ids=str,
)
def test_any_column_can_be_drawn(values: list[Any], missing: int, ends: Any, bars: Any) -> None:
    picture = draw(pd.Series(values))
    assert (picture.missing, picture.ends) == (missing, ends)
    if bars is None:
        assert sum(bar.rows for bar in picture.bars) == len(values) - missing
    else:
        assert [(bar.label, bar.rows) if bar.label else bar.rows for bar in picture.bars] == bars
    assert all(0 <= bar.length <= 1 for bar in picture.bars)


def test_nullable_numbers_and_categories_can_be_drawn() -> None:
    assert draw(pd.Series([1, None, 3], dtype="Int64")).ends == ("1", "3")
    assert draw(pd.Series(["a", None], dtype="category")).bars[0].label == "a"
