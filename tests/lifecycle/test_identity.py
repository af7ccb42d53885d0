"""A row's key: what it survives, and what it does not."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlops.data.identity import RowKeys, identify, load_keys, mix, row_keys, seen_rows

WHOLE = st.integers(-(10**15), 10**15)
FRACTIONS = st.floats(width=32, allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
DATES = st.datetimes(datetime.datetime(1970, 1, 2), datetime.datetime(2100, 1, 1)).map(
    lambda d: d.replace(microsecond=0)
)
KINDS = {"whole": WHOLE, "fraction": FRACTIONS, "word": WORDS, "flag": st.booleans(), "date": DATES}


@st.composite
def columns(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(KINDS), missing: bool = True) -> dict[str, list[Any]]:
    """Draw columns of some rows, of one kind each, in which values may be missing."""
    rows = draw(st.integers(1, 8))
    drawn: dict[str, list[Any]] = {}
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(kinds))
        values = KINDS[kind] if not missing else st.none() | KINDS[kind]
        drawn[f"{kind}{number}"] = draw(st.lists(values, min_size=rows, max_size=rows))
    return drawn


def frame(drawn: dict[str, list[Any]]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in drawn.items()})


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert row_keys(one).tolist() == row_keys(other).tolist()


@given(columns(), st.randoms())
def test_the_order_of_columns_and_columns_without_values_change_nothing(
    drawn: dict[str, list[Any]], random: Any
) -> None:
    rows = frame(drawn)
    order = list(rows)
    random.shuffle(order)
    same(rows, rows[order].assign(empty=np.nan, none=None, blank=""))


@given(columns())
def test_text_of_the_same_values_changes_nothing(drawn: dict[str, list[Any]]) -> None:
    """As if the rows had been written to a CSV file, and read without types."""
    rows = frame(drawn)
    text = rows.map(lambda value: None if pd.isna(value) else str(value))
    same(rows, text)
    same(rows, text.astype("string"))
    same(rows, text.astype("category"))


@given(st.lists(WHOLE, min_size=1, max_size=8))
def test_types_of_whole_numbers_change_nothing(values: list[int]) -> None:
    rows = pd.DataFrame({"n": values})
    for kind in ("float64", "Int64", "Float64", "object", "category"):
        same(rows, rows.astype(kind))
    same(rows.astype("Int64"), pd.DataFrame({"n": [f"{value}.0" for value in values]}))


@given(st.lists(FRACTIONS | st.none(), min_size=1, max_size=8))
def test_types_of_fractions_change_nothing(values: list[float | None]) -> None:
    rows = pd.DataFrame({"x": pd.Series(values, dtype="float64")})
    for kind in ("float32", "Float64", "Float32", "object"):
        same(rows, rows.astype(kind))


@given(st.lists(st.booleans() | st.none(), min_size=1, max_size=8))
def test_types_of_booleans_change_nothing(values: list[bool | None]) -> None:
    rows = pd.DataFrame({"b": pd.Series(values, dtype="boolean")})
    for kind in ("object", "Int64", "Float64"):
        same(rows, rows.astype(kind))
    if None not in values:
        same(rows, rows.astype("bool"))


@given(st.lists(DATES | st.none(), min_size=1, max_size=8))
def test_types_of_dates_change_nothing(values: list[datetime.datetime | None]) -> None:
    rows = pd.DataFrame({"t": pd.Series(values, dtype="datetime64[ns]")})
    for unit in ("s", "ms", "us"):
        same(rows, rows.astype(f"datetime64[{unit}]"))
    same(rows, pd.DataFrame({"t": rows["t"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")}))
    same(rows, pd.DataFrame({"t": [None if v is None else v.isoformat() for v in values]}))


@given(columns(missing=False), st.data())
def test_a_changed_value_makes_it_another_row(drawn: dict[str, list[Any]], data: st.DataObject) -> None:
    rows = frame(drawn)
    name, place = data.draw(st.sampled_from(list(rows))), data.draw(st.integers(0, len(rows) - 1))
    changed = rows.copy()
    changed.loc[place, name] = data.draw(st.sampled_from(["another value", 1234567, 0.125, None]))
    before, after = row_keys(rows), row_keys(changed)
    assert np.flatnonzero(before != after).tolist() == [place]


@given(st.sets(st.integers(10**14, 10**18 - 1), min_size=2, max_size=50))
def test_long_ids_are_exact_as_numbers_and_as_text(ids: set[int]) -> None:
    rows = pd.DataFrame({"id": sorted(ids)})
    assert len(set(row_keys(rows).tolist())) == len(ids)
    same(rows, rows.astype("string"))


def test_ids_of_more_digits_than_a_number_holds_are_exact() -> None:
    assert len(set(row_keys(pd.DataFrame({"id": [f"9{n:030}" for n in range(1000)]})).tolist())) == 1000


def test_values_swapped_between_columns_make_another_row() -> None:
    rows = pd.DataFrame({"a": [1, 2], "b": [2, 1]})
    assert len(set(row_keys(rows).tolist())) == 2


def test_a_million_keys_are_distinct_and_evenly_spread() -> None:
    keys = row_keys(pd.DataFrame({"n": np.arange(1_000_000)}))
    assert len(np.unique(keys)) == 1_000_000
    counts = np.bincount((mix(keys) >> np.uint64(60)).astype(int), minlength=16)
    assert counts == pytest.approx(62_500, abs=5 * 250)  # five standard deviations


def test_the_record_holds_the_keys_of_the_training_rows(tmp_path: Path) -> None:
    rows = pd.DataFrame({"a": [1, 1, 2, 3], "b": ["x", "x", "y", "z"]})
    known = identify(rows, [])
    saved = load_keys(known.of(np.array([True, True, True, False])).save(tmp_path))
    assert saved is not None
    assert (saved.kind, saved.columns, len(saved.keys)) == ("content", ("a", "b"), 3)
    seen = seen_rows(saved, rows, known)
    assert not isinstance(seen, str)
    assert seen.tolist() == [True, True, True, False]


def test_keys_of_another_scheme_are_not_compared(tmp_path: Path) -> None:
    path = identify(pd.DataFrame({"a": [1]}), []).save(tmp_path)
    with np.load(path) as file:
        content = dict(file)
    np.savez_compressed(path, **{**content, "scheme": 0})
    assert load_keys(path) is None


ROWS = pd.DataFrame({"id": range(6), "a": [1, 2, 3, 4, 5, 6], "b": list("uvwxyz")})
FIRST = np.array([True, True, True, False, False, False])


@pytest.mark.parametrize(
    ("ids", "change", "told"),
    [
        ([], {}, [True, True, True, False, False, False]),
        ([], {"new": [0, 0, 0, 1, 1, 1]}, [True, True, True, False, False, False]),
        ([], {"b": list("Uvwxyz")}, "1 of the 3 rows that it was trained on"),
        ([], {"b": None}, "the data has no longer b"),
        (["id"], {"b": list("UVWXYZ")}, [True, True, True, False, False, False]),
        (["id"], {"b": None}, [True, True, True, False, False, False]),
        (["id"], {"id": [9, 8, 7, 6, 5, 4]}, "no row that it was trained on is in the data"),
        (["id"], {"id": None}, "the data has no longer id"),
        (["id", "b"], {"a": [0] * 6}, [True, True, True, False, False, False]),
    ],
)
def test_what_was_seen_is_told_or_why_not(ids: list[str], change: dict[str, Any], told: list[bool] | str) -> None:
    trained: RowKeys = identify(ROWS, ids).of(FIRST)
    gone = [name for name, values in change.items() if values is None]
    today = ROWS.assign(**{name: values for name, values in change.items() if values is not None}).drop(columns=gone)
    seen = seen_rows(trained, today, identify(today, []))
    assert (told in seen) if isinstance(seen, str) and isinstance(told, str) else list(seen) == told


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    path = identify(pd.DataFrame({"a": [1]}), []).save(tmp_path)
    for content in (b"", b"PK", path.read_bytes()[:100]):
        path.write_bytes(content)
        assert load_keys(path) is None


def test_one_of_two_equal_rows_that_was_edited_is_not_new() -> None:
    twins = pd.DataFrame({"a": [1, 1, 2], "b": [5, 5, 6]})
    trained = identify(twins, []).of(np.array([True, True, False]))
    edited = twins.assign(b=[5, 7, 6])
    assert "1 of the 2 rows" in seen_rows(trained, edited, identify(edited, []))


def test_huge_numbers_differ() -> None:
    assert len(set(row_keys(pd.DataFrame({"x": [1e300, 1e301, -1e300, 1e38, 1e39, np.inf]})).tolist())) == 6


def test_rows_that_were_added_are_new() -> None:
    trained = identify(ROWS, []).of(FIRST)
    grown = pd.concat([ROWS.assign(a=0), ROWS], ignore_index=True)
    seen = seen_rows(trained, grown, identify(grown, []))
    assert list(seen) == [False] * 6 + FIRST.tolist()
