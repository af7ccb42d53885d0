"""How far columns have moved: nothing where nothing changed, much where a column broke."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import make_rows
from hypothesis import given
from hypothesis import strategies as st
from mlops.data.dataset import Dataset
from mlops.data.identity import identify
from mlops.data.profile import ALL, CLASSES, COMMON, ROWS, Profile, distances, profile, training_profile
from mlops.results import Shift

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "numbers": st.floats(allow_nan=True, allow_infinity=True),
    "counts": st.integers(-5, 5) | st.none(),
    "texts": st.text(max_size=50) | st.none(),
    "words": st.sampled_from(["rent", "owner", "x" * 90, "x" * 91, "", None]),
    "truths": st.booleans() | st.none(),
    "dates": st.datetimes() | st.none(),
    "zoned": st.datetimes(
        min_value=pd.Timestamp("1950-01-01").to_pydatetime(), timezones=st.just(pd.Timestamp.now("UTC").tz)
    ),
}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a table of one column of each kind, and a target ``outcome``."""
    rows = draw(st.integers(2, 30))
    columns = {name: draw(st.lists(kind, min_size=rows, max_size=rows)) for name, kind in VALUES.items()}
    frame = pd.DataFrame(columns)
    return frame.assign(outcome=draw(st.lists(st.sampled_from(["yes", "no"]), min_size=rows, max_size=rows)))


def shifts(before: pd.DataFrame, today: pd.DataFrame, **options: Any) -> dict[str, Shift]:
    found = distances(profile(before, "outcome"), profile(today, "outcome"), **options)
    assert [shift.distance for shift in found] == sorted((s.distance for s in found), reverse=True)
    return {shift.column: shift for shift in found}


@given(tables(), st.randoms(use_true_random=False))
def test_the_same_rows_have_not_moved(frame: pd.DataFrame, random: Any) -> None:
    order = random.sample(range(len(frame)), len(frame))
    columns = random.sample(list(frame), len(frame.columns))
    found = shifts(frame, frame.iloc[order][columns])
    assert {column: shift.distance for column, shift in found.items()} == dict.fromkeys(frame, 0)
    assert {shift.moved for shift in found.values()} == {""}


@given(tables(), tables())
def test_a_distance_is_a_share_and_the_same_in_both_directions(one: pd.DataFrame, other: pd.DataFrame) -> None:
    there, back = shifts(one, other), shifts(other, one)
    for column, shift in there.items():
        assert 0 <= shift.distance <= 1
        assert 0 <= shift.expected <= 1
        assert shift.distance == pytest.approx(back[column].distance, abs=1e-9)
        assert bool(shift.moved) or shift.distance == 0


@given(tables())
def test_a_profile_survives_its_file(frame: pd.DataFrame) -> None:
    made = profile(frame, "outcome")
    assert Profile.model_validate_json(made.model_dump_json()) == made


ROWS_BEFORE = make_rows(3000, seed=1).assign(
    when=pd.date_range("2024-01-01", periods=3000, freq="h"), sum=lambda f: (f.near * 20 + 100).round(), few=1.5
)
BREAKS: dict[str, tuple[str, Any, str]] = {
    "units": ("sum", lambda c: c / 1000, "median 100 → 0.1"),
    "sign": ("sum", lambda c: -c, "median 100 → -100"),
    "constant": ("sum", lambda c: 100.0, "upper quartile 114 → 100"),
    "as text": ("sum", lambda c: c.astype(str) + " EUR", "number → text"),
    "half missing": ("sum", lambda c: c.where(c.index % 2 == 0), "missing 0 % → 50 %"),
    "infinite": ("sum", lambda c: c.where(c.index % 4 != 0, np.inf), "missing 0 % → 25 %"),
    "all missing": ("segment", lambda c: None, "missing 0 % → 100 %"),
    "category": ("segment", lambda c: c.replace("a", "d"), "'a' 52 % → 0 %"),
    "case": ("segment", lambda c: c.str.upper(), "'a' 52 % → 0 %"),
    "shuffled": (
        "told",
        lambda c: c.sample(frac=1, random_state=0).to_numpy(),
        "within class yes: median 1.987 → 0.98",
    ),
    "from a constant": ("few", lambda c: range(len(c)), "median 1.5 → 1499"),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_column_is_far_and_says_what_moved(fault: str) -> None:
    column, change, words = BREAKS[fault]
    found = shifts(ROWS_BEFORE, ROWS_BEFORE.assign(**{column: change(ROWS_BEFORE[column])}))
    assert [name for name, shift in found.items() if shift.notable] == [column]
    assert found[column].distance >= 0.2
    assert found[column].moved.startswith(words)


def test_what_may_move_by_nature_is_shown_but_not_notable() -> None:
    later = ROWS_BEFORE.assign(when=ROWS_BEFORE.when + pd.Timedelta(days=500), month="2026-01", near=range(3000))
    before = ROWS_BEFORE.assign(month="2025-12").drop(columns="note")
    found = shifts(before, later.drop(columns="far"), moving=["month", "near", None])
    assert {name: shift.distance for name, shift in found.items() if shift.distance} == {
        "when": 1, "month": 1, "near": pytest.approx(1, abs=0.01), "far": 1, "note": 1,
    }  # fmt: skip
    assert (found["far"].moved, found["note"].moved) == ("gone", "new column")
    assert found["when"].moved == "median 2024-03-03 → 2025-07-16"
    assert not any(shift.notable for shift in found.values())


def kinds_of_columns(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "outcome": rng.choice(["yes", "no"], rows, p=[0.2, 0.8]),
            "normal": rng.normal(size=rows),
            "heavy": rng.standard_cauchy(rows),
            "zeros": np.where(rng.random(rows) < 0.8, 0, rng.exponential(size=rows)),
            "steps": rng.integers(0, 6, rows) * 12,
            "binary": rng.integers(0, 2, rows),
            "few": rng.choice(list("abc"), rows),
            "many": rng.integers(0, 60, rows).astype(str),
            "most": rng.integers(0, 1000, rows).astype(str),
            "free": rng.random(rows).astype(str),
            "gaps": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows)),
        }
    )


@pytest.mark.parametrize("rows", [200, 2000])
def test_fresh_rows_of_the_same_kind_are_hardly_ever_notable(rows: int) -> None:
    """Fewer than 1 of 1,000 columns, and each has three chances: all rows, and those of a class."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found += shifts(kinds_of_columns(rows, rng), kinds_of_columns(2 * rows, rng)).values()
    assert sum(shift.distance > shift.expected for shift in found) <= 3 * len(found) / 1000


def test_the_profile_of_a_large_table_is_small_and_the_same_each_time() -> None:
    rows = 2 * ROWS
    rng = np.random.default_rng(0)
    target = rng.integers(0, 40, rows)
    features = pd.DataFrame({"text": rng.integers(0, 5000, rows).astype(str), "side": np.arange(rows) % 4})
    held = features.side.to_numpy() == 0
    dataset = Dataset(features, target, np.arange(40), None, held, None, "", features, identify(features, []))
    made = training_profile(dataset, "outcome")
    assert len(made.parts) == 1 + CLASSES
    assert made.parts[ALL].rows == ROWS
    assert set(made.parts[ALL].columns) == {"text", "side", "outcome"}
    assert len(made.parts[ALL].columns["text"].shares) == COMMON
    assert made.parts[ALL].columns["side"].quantiles[0] == 1, "the holdout is not described"
    assert len(made.model_dump_json()) < 60_000
    assert made == training_profile(dataset, "outcome")
