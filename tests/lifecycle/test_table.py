"""What load() returns and what project.yml says about it is checked once, before anything runs, by column name."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROWS, Toy, make_rows, make_toy
from hypothesis import given
from hypothesis import strategies as st
from mlops.config import Project, load_project
from mlops.data.dataset import RawData, split_rows
from mlops.data.table import check_table
from mlops.data.validation import validate_rows
from mlops.errors import ConfigError, DataError


def column(good: Any, row: int, bad: Any) -> pd.Series:
    """Make a column of one value, with another in one row, counted from 1."""
    cells = np.empty(ROWS, dtype=object)
    cells.fill(good)
    cells[row - 1] = bad
    return pd.Series(cells)


STAMPS = pd.Series(pd.date_range("2026-01-01", periods=ROWS, freq="h"))
# A column that cannot be used; the words that describe it, and the advice.
UNUSABLE: dict[str, tuple[pd.Series, list[str]]] = {
    "one infinite float": (
        pd.Series(np.where(np.arange(ROWS) == 6, -np.inf, 1.5)),
        ["infinite in 1 of 1,600 values, first in row 7: -inf", "NaN"],
    ),
    "one infinite nullable": (
        column(1.5, 4, np.inf).astype("Float64"),
        ["infinite in 1 of 1,600 values, first in row 4: inf", "NaN"],
    ),
    "text and a number": (column("a", 3, 1), ["holds text and numbers: row 1 is 'a', row 3 is 1", "dtype="]),
    "a number and text": (column(1.5, 9, "no"), ["holds numbers and text: row 1 is 1.5, row 9 is 'no'", "dtype="]),
    "truth and text": (column(True, 2, "no"), ["holds true or false and text: row 1 is True, row 2 is 'no'"]),
    "a list": (column(None, 5, [1, 2]), ["values of type list, first in row 5: [1, 2]", "columns of numbers or text"]),
    "a dict": (column("a", 5, {"k": 1}), ["values of type dict, first in row 5: {'k': 1}"]),
    "a set": (column("a", 8, {1}), ["values of type set, first in row 8: {1}"]),
    "an array": (column("a", 8, np.zeros(2)), ["values of type ndarray, first in row 8"]),
    "broken text": (column("a", 4, "b\udcff"), ["cannot be written as UTF-8, first in row 4: 'b\\udcff'", "encoding"]),
    "broken text beside a missing date": (
        column(pd.NaT, 4, "b\udcff"),
        ["cannot be written as UTF-8, first in row 4: 'b\\udcff'", "encoding"],
    ),
    "bytes": (column(None, 2, b"x"), ["holds bytes, first in row 2: b'x'", "decode"]),
    "times of day": (column(None, 6, datetime.time(12)), ["holds times of day, first in row 6", "minutes"]),
    "more digits": (pd.Series(np.ones(ROWS, np.longdouble)), ["holds numbers of 128 bits", "astype(float)"]),
    "a date and text": (
        column(datetime.date(2026, 1, 24), 3, "soon"),
        ["holds dates and text: row 1 is datetime.date"],
    ),
    "infinite decimal": (column(decimal.Decimal(1), 6, decimal.Decimal("-inf")), ["infinite in 1 of 1,600"]),
    "durations": (STAMPS - STAMPS[0], ["holds durations, first in row 1", "total_seconds"]),
    "periods": (STAMPS.dt.to_period("D"), ["holds periods, first in row 1", "to_timestamp"]),
    "bins": (pd.cut(pd.Series(np.arange(ROWS)), 3), ["holds intervals, first in row 1", "astype(str)"]),
    "complex": (pd.Series(np.full(ROWS, 1j)), ["holds complex numbers, first in row 1: 1j", "imaginary"]),
    "sparse": (pd.Series(pd.arrays.SparseArray(np.zeros(ROWS))), ["sparse", "to_dense"]),
}


def load_pickle(toy: Toy, frame: pd.DataFrame) -> None:
    """Let the project's load() return exactly this table."""
    frame.to_pickle(toy.root / "rows.pkl")
    toy.set(data={"path": "rows.pkl"})


def refused(toy: Toy, code: int, *words: str) -> str:
    """Run, expect the error, before any expectation is checked; return what is printed."""
    said = toy.mlops("run", code=code).output
    assert "Traceback" not in said
    for word in words:
        assert word in said, f"{word!r} is not in:\n{said}"
    assert not (toy.root / "outputs" / "validation").exists()
    return said


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("name", ["extra", "a name, with: 'odd' signs"])
def test_an_unusable_column_is_named_with_its_row_and_advice(kind: str, name: str) -> None:
    values, words = UNUSABLE[kind]
    with pytest.raises(DataError) as caught:
        check_table(make_rows().assign(**{name: values}), "rows.csv")
    said = f"{caught.value} {caught.value.fix}"
    for word in [f"{name!r}", *words]:
        assert word in said


def test_all_unusable_columns_are_listed_at_once(toy: Toy) -> None:
    load_pickle(toy, make_rows().assign(**{kind: values for kind, (values, _) in UNUSABLE.items()}))
    refused(toy, 1, f"has {len(UNUSABLE)} errors", *map(repr, UNUSABLE))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (range(6), ["Columns have names that are not text: 0, 1, 2, 3, 4, ... (6 in all)", "header=0"]),
        (["outcome", "near", "near", "told", "segment", "segment"], ["same name: 'near', 'segment'", "Rename"]),
        (["outcome", "near", "Unnamed: 2", " ", "segment", ""], ["without a name, at place 3, 4, 6", "Name them"]),
        (pd.MultiIndex.from_product([["a", "b", "c"], ["d", "e"]]), ["2 levels", "Join"]),
    ],
    ids=["numbers", "repeated", "empty", "levels"],
)
def test_columns_without_a_name_of_their_own_are_refused(toy: Toy, names: Any, words: list[str]) -> None:
    load_pickle(toy, make_rows().set_axis(names, axis=1))
    refused(toy, 1, *words)


@pytest.mark.parametrize(
    "index",
    [np.zeros(ROWS, dtype=int), [f"r{row % 7}" for row in range(ROWS)], np.arange(ROWS)[::-1], STAMPS],
    ids=["repeated", "text", "reversed", "times"],
)
def test_rows_are_counted_by_place_whatever_the_index(toy: Toy, index: Any) -> None:
    frame = make_rows()
    frame.loc[16, "segment"] = "d"
    load_pickle(toy, frame.set_axis(index, axis=0))
    checked = check_table(frame.set_axis(index, axis=0), "rows.csv")
    pd.testing.assert_frame_equal(checked, frame)
    with pytest.raises(DataError, match=r"row 1 is 1\.5, row 9 is 'no'"):
        check_table(frame.assign(near=column(1.5, 9, "no")).set_axis(index, axis=0), "rows.csv")
    said = toy.mlops("run", code=1).output
    assert "1 of 1,600 rows" in said
    assert "17" in said


# Changes of project.yml's sections, and the words of the error.
MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "target": ({"data": {"target": "outcme"}}, ["data.target is 'outcme'", "Did you mean 'outcome'?"]),
    "target with a blank": ({"data": {"target": "outcome "}}, ["data.target is 'outcome '", "Did you mean 'outcome'?"]),
    "group": ({"split": {"group": "segmnt"}}, ["split.group is 'segmnt'", "Did you mean 'segment'?"]),
    "a number as target": ({"data": {"target": "near"}}, ["looks like a quantity", "1,6", "bin the target"]),
    "positive": ({"data": {"positive": True}}, ["data.positive is True", "positive: 'yes'"]),
    "slice": ({"gate": {"slices": ["segmet"]}}, ["gate.slices names 'segmet'", "Did you mean 'segment'?"]),
    "the target as slice": ({"gate": {"slices": ["outcome"]}}, ["gate.slices names 'outcome', the target"]),
    "the id as slice": ({"data": {"id": "near"}}, ["gate.slices names 'near', the id"]),
    "edges on text": (
        {"gate": {"slices": [{"segment": [1]}]}},
        ["gate.slices cuts 'segment' at edges, but the column is not numeric", "- segment"],
    ),
    "a slice of each row": ({"gate": {"slices": ["near"]}}, ["gate.slices names 'near'", "no slice reaches the 30"]),
    "a group with gaps": (
        {"split": {"group": "note"}},
        ["split.group is 'note', which is missing in 1", "first in row"],
    ),
    "the target as group": ({"split": {"group": "outcome"}}, ["split.group is 'outcome', the target"]),
    "the target as time": ({"split": {"time": "outcome"}}, ["split.time is 'outcome', the target"]),
    "id": ({"data": {"id": ["near", "fra"]}}, ["data.id is 'fra'", "Did you mean 'far'?"]),
    "the target as id": ({"data": {"id": "outcome"}}, ["data.id is 'outcome', the target"]),
    "time": ({"split": {"time": "segment"}}, ["split.time is 'segment'", "row 1 is", "pd.to_datetime"]),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_about_columns_is_found_before_anything_runs(toy: Toy, kind: str) -> None:
    sections, words = MISTAKES[kind]
    toy.set(**sections)
    assert len(refused(toy, 2, *words)) < 1000


def test_all_mistakes_about_columns_are_listed_at_once(toy: Toy) -> None:
    slices = ["segmet", {"segment": [1]}, "near", "outcome"]
    toy.set(data={"positive": "yse"}, split={"group": "client"}, gate={"slices": slices})
    refused(toy, 2, "6 errors", "'yse'", "'client'", "'segmet'", "'segment' at edges", "'near'", "the target")


@pytest.mark.parametrize("row", [1, 700])
@pytest.mark.parametrize("text", ["24/01/2026", "Jan 24, 2026", "soon"])
def test_a_time_that_does_not_sort_as_text_is_named(toy: Toy, row: int, text: str) -> None:
    day = STAMPS.dt.strftime("%Y-%m-%d").where(STAMPS.index != row - 1, text)
    make_rows().assign(day=day).to_csv(toy.root / "rows.csv", index=False)
    toy.set(split={"time": "day"})
    refused(toy, 2, f"row {row} is '{text}'", "pd.to_datetime")


@pytest.mark.parametrize("kind", ["text", "datetime", "date", "number"])
@pytest.mark.parametrize("gaps", [[1], [5, 6, 900]])
def test_missing_times_are_said(project: Project, kind: str, gaps: list[int]) -> None:
    days = {"datetime": STAMPS, "date": STAMPS.dt.date, "text": STAMPS.astype(str), "number": STAMPS.astype(int) * 1.0}
    day = days[kind].where(~STAMPS.index.isin([row - 1 for row in gaps]))
    timed = project.model_copy(update={"split": project.split.model_copy(update={"time": "day"})})
    made = split_rows(RawData(make_rows().assign(day=day), "digest", Path("rows.csv")), timed)
    rows = "1 row" if len(gaps) == 1 else f"{len(gaps)} rows"
    assert f"The time 'day' is missing in {rows}, first in row {gaps[0]}: they count as the oldest." in made.warnings
    assert not made.holdout[[row - 1 for row in gaps]].any()


@pytest.mark.parametrize("kind", [int, float, decimal.Decimal])
def test_numbers_as_objects_can_be_times_and_have_edges(project: Project, kind: type) -> None:
    numbers = [kind(row) if row else None for row in range(ROWS)]
    frame = make_rows().assign(order=pd.Series(numbers, dtype=object))
    changes = {"gate": {"slices": [{"order": [5.0]}]}, "split": {"time": "order"}}
    changed = {name: getattr(project, name).model_copy(update=change) for name, change in changes.items()}
    made = split_rows(RawData(frame, "digest", Path("rows.csv")), project.model_copy(update=changed))
    assert made.holdout.tolist() == [row >= 0.6 * ROWS for row in range(ROWS)]


def test_a_time_that_is_missing_everywhere_is_refused(toy: Toy) -> None:
    load_pickle(toy, make_rows().assign(day=np.nan))
    toy.set(split={"time": "day"})
    refused(toy, 2, "split.time is 'day', which is missing in all rows")


def test_text_of_iso_8601_sorts_by_time(project: Project) -> None:
    """The same hour is written with offsets that do not sort as text."""
    offsets = [f"{stamp:%Y-%m-%dT%H:%M:%S}{('+09:00', 'Z', '-09:00')[i % 3]}" for i, stamp in enumerate(STAMPS)]
    timed = project.model_copy(update={"split": project.split.model_copy(update={"time": "day"})})
    frame = make_rows().assign(day=offsets)
    holdout = split_rows(RawData(frame, "digest", Path("rows.csv")), timed).holdout
    times = pd.to_datetime(frame["day"], utc=True)
    assert times[holdout].min() >= times[~holdout].max()
    assert holdout.mean() == pytest.approx(0.4)


def write_suite(toy: Toy, *expectations: tuple[str, dict[str, Any]]) -> None:
    items = [{"type": f"expect_{kind}", "kwargs": kwargs} for kind, kwargs in expectations]
    content = {"name": "raw", "expectations": items}
    (toy.root / "expectations" / "raw.json").write_text(json.dumps(content), "utf-8")


def test_a_suite_that_checks_nothing_is_refused(toy: Toy) -> None:
    write_suite(toy)
    assert "raw.json has no expectations: nothing would be checked" in toy.mlops("validate", code=2).output


KL = "column_kl_divergence_to_be_less_than"
GOOD = ("column_values_to_not_be_null", {"column": "near"})


@pytest.mark.parametrize(
    ("kind", "kwargs", "reason"),
    [
        (
            KL,
            {"partition_object": {"values": ["no", "yes"], "weights": [0.5, 0.6]}, "threshold": 1},
            "sum to 1.1, not 1",
        ),
        (
            KL,
            {"partition_object": {"values": ["no"], "weights": [0.5, 0.5]}, "threshold": 1},
            "1 values or bins, and 2 weights",
        ),
        ("column_values_to_match_regex", {"regex": "(x"}, "'(x' is not a regular expression"),
        ("column_values_to_be_between", {"min_value": 3, "max_value": 2}, "min_value (3.0) is greater than max_value"),
        ("column_mean_to_be_between", {"min_value": 3, "max_value": 2}, "min_value (3.0) is greater than max_value"),
        ("column_values_to_be_in_set", {"value_set": "no"}, "value_set: value is not a valid list"),
        ("column_values_to_not_be_null", {"mostly": 2}, "mostly: ensure this value is less than or equal to 1.0"),
        ("column_values_to_not_be_null", {"mosty": 0.5}, "mosty: extra fields not permitted (did you mean 'mostly'?)"),
    ],
)
@pytest.mark.parametrize("others", [[], [GOOD]], ids=["alone", "among others"])
def test_an_invalid_expectation_is_named(
    toy: Toy, kind: str, kwargs: dict[str, Any], reason: str, others: list[Any]
) -> None:
    write_suite(toy, *others, (kind, {"column": "outcome", **kwargs}))
    said = " ".join(toy.mlops("validate", code=2).output.split())
    assert f"raw.json: expect_{kind} of column 'outcome' is invalid: " in said
    assert reason in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("column_values_to_not_be_null", {"column": "segmet"}),
        ("column_pair_values_to_be_equal", {"column_A": "near", "column_B": "segmet"}),
        ("compound_columns_to_be_unique", {"column_list": ["segmet", "near"]}),
    ],
)
def test_a_misspelt_column_of_a_suite_is_named(toy: Toy, kind: str, kwargs: dict[str, Any]) -> None:
    write_suite(toy, (kind, kwargs))
    said = " ".join(toy.mlops("validate", code=1).output.split())
    assert "segmet is missing. Did you mean 'segment'?" in said


@pytest.mark.parametrize(
    ("dtype", "positive"),
    [
        ("bool", True),
        ("boolean", True),
        ("Int64", 1),
        ("float64", 1),
        ("category", 1),
        ("string", "1"),
        ("object", 1),
        ("decimal", 1),
    ],
)
def test_a_target_of_any_plain_type_is_trained_on(toy: Toy, dtype: str, positive: Any) -> None:
    write_suite(toy, GOOD)
    frame = make_rows()
    outcome = (frame["outcome"] == "yes").astype(int)
    outcome = outcome.map(decimal.Decimal) if dtype == "decimal" else outcome.astype(dtype)
    load_pickle(toy, frame.assign(outcome=outcome))
    toy.set(data={"positive": positive}, model={"estimator": "random_forest", "params": {"n_estimators": 20}})
    toy.mlops("run")
    assert toy.output("evaluation/evaluation.json")["positive"] == positive
    assert toy.stages() == {1: "registered"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = load_project(make_toy(tmp_path_factory.mktemp("table")).root)
    count = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
    (project.root / "count.json").write_text(json.dumps({"name": "count", "expectations": [count]}), "utf-8")
    return project.model_copy(update={"gate": project.gate.model_copy(update={"slices": []})})


SCALARS = [
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from("\ud800\udcff"),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),  # pandas itself fails on a signalling one
    st.complex_numbers(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.just(pd.NA),
    st.just(pd.NaT),
]
DTYPES = [
    "int8",
    "uint64",
    "float32",
    "Int32",
    "Float64",
    "boolean",
    "string",
    "category",
    "datetime64[ns, UTC]",
    "bool",
]
DTYPES += ["string[pyarrow]", "double[pyarrow]", "bool[pyarrow]"]


@st.composite
def columns(draw: st.DrawFn, size: int) -> pd.Series:
    """Draw a column of one or two kinds of values, as objects, as pandas infers or of some type."""
    kinds = draw(st.lists(st.sampled_from(SCALARS), min_size=1, max_size=2))
    few = draw(st.lists(st.one_of(kinds), min_size=1, max_size=4))
    cells = np.empty(size, dtype=object)
    for row in range(size):
        cells[row] = few[row % len(few)]
    values = pd.Series(cells)
    dtype = draw(st.sampled_from([None, "infer", *DTYPES]))
    try:
        return values.infer_objects() if dtype == "infer" else values if dtype is None else values.astype(dtype)
    except (ValueError, TypeError, OverflowError, NotImplementedError, ArithmeticError, pd.errors.ParserError):
        return values


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    size = draw(st.sampled_from([1, 3, 60]))
    names = draw(st.lists(st.text(min_size=1, max_size=5), max_size=3, unique=True))
    parts = {name: draw(columns(size)) for name in names}
    outcome = pd.Series([("no", "yes")[row % 2] for row in range(size)])
    target = outcome if draw(st.booleans()) else draw(columns(size))
    return pd.DataFrame({**parts, "row": np.arange(size), "outcome": target})


@given(frame=tables())
def test_a_table_is_accepted_unchanged_and_split_or_refused_by_name(project: Project, frame: pd.DataFrame) -> None:
    try:
        checked = check_table(frame, "rows.csv")
    except DataError as error:
        assert any(repr(name) in str(error) for name in frame) or "without a name" in str(error)
        return
    pd.testing.assert_frame_equal(checked, frame)
    assert validate_rows(
        RawData(checked, "", Path("rows.csv")), {project.root / "count.json": [*checked]}, project.outputs
    )
    try:
        made = split_rows(RawData(checked, "digest", Path("rows.csv")), project)
    except (DataError, ConfigError) as error:
        assert len(f"{error}") < 2000
        return
    assert made.target.dtype.kind in "biufO"
    assert len(made.holdout) == len(frame)
