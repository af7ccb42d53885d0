"""Reading and splitting: each row keeps its side as the data grows, and each side has every class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from conftest import make_toy
from hypothesis import given
from hypothesis import strategies as st
from mlops.config import Project, load_project
from mlops.data.dataset import Dataset, RawData, read_rows, split_rows
from mlops.data.rows import serve
from mlops.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy(tmp_path_factory.mktemp("split")).root


def settings(root: Path, data: dict[str, Any] | None = None, **split: Any) -> Project:
    """Load the toy's project.yml with changes to data and split, and without slices."""
    content = yaml.safe_load((root / "project.yml").read_text("utf-8"))
    content["data"].update(data or {})
    content["split"].update(split)
    content["gate"]["slices"] = []
    (root / "changed").mkdir(exist_ok=True)
    (root / "changed" / "project.yml").write_text(yaml.safe_dump(content), "utf-8")
    return load_project(root / "changed")


def split(frame: pd.DataFrame, project: Project) -> Dataset:
    return split_rows(RawData(frame, "digest", Path("rows.csv")), project)


def rows(count: int = 4000, seed: int = 5) -> pd.DataFrame:
    """Make rows of several types; ``number`` is unique."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "outcome": rng.choice(["no", "yes"], size=count),
            "number": np.arange(count) + seed * 1_000_000,
            "near": rng.normal(size=count).round(6),
            "flag": rng.random(count) < 0.5,
            "segment": rng.choice(["a", "b", "\u00e9 \U0001f600", ""], size=count),
            "note": np.where(rng.random(count) < 0.1, None, "x"),
            "customer": rng.integers(0, 700, size=count),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.permutation(count), "min"),
        }
    )


def sides(frame: pd.DataFrame, project: Project) -> dict[int, bool]:
    """Return, for each row's number, whether it is held out."""
    held_out = split(frame, project).holdout
    return dict(zip(frame["number"].tolist(), held_out.tolist(), strict=True))


def test_no_row_changes_sides_when_rows_are_added_or_reordered(root: Path) -> None:
    project, first = settings(root), rows()
    before = sides(first, project)
    grown = pd.concat([rows(3000, seed=6), first, rows(1000, seed=7)], ignore_index=True)
    after = sides(grown.sample(frac=1, random_state=1), project)
    assert len(after) == 8000
    assert {number: after[number] for number in before} == before
    assert sides(first.iloc[:50], project) == {n: before[n] for n in first["number"][:50]}


def test_the_first_missing_value_of_a_whole_number_column_moves_no_row(root: Path) -> None:
    project, frame = settings(root), rows()
    before = sides(frame, project)
    missing = rows(1, seed=8).astype({"customer": "float64"}).assign(customer=np.nan)
    grown = pd.concat([frame.astype({"customer": "float64"}), missing], ignore_index=True)
    assert grown["customer"].dtype == "float64"
    after = sides(grown, project)
    assert {number: after[number] for number in before} == before


def test_the_first_missing_value_of_a_flag_moves_no_row(root: Path) -> None:
    project, frame = settings(root), rows()
    before = sides(frame, project)
    missing = rows(1, seed=8).astype({"flag": object}).assign(flag=None)
    grown = pd.concat([frame.astype({"flag": object}), missing], ignore_index=True)
    after = sides(grown, project)
    assert {number: after[number] for number in before} == before


def test_reading_the_file_again_gives_the_same_sides(root: Path, tmp_path: Path) -> None:
    project, frame = settings(root), rows()
    before = sides(frame, project)
    file = tmp_path / "rows.csv"
    numbers = frame.drop(columns=["note", "segment", "day"])
    numbers.to_csv(file, index=False)
    again = read_rows(file, pd.read_csv).frame
    assert sides(again, project) == sides(numbers, project)
    frame.to_parquet(tmp_path / "rows.parquet")
    assert sides(pd.read_parquet(tmp_path / "rows.parquet"), project) == before


def test_duplicated_rows_are_on_the_same_side(root: Path) -> None:
    frame = rows()
    twice = split(pd.concat([frame, frame], ignore_index=True), settings(root))
    assert (twice.holdout[: len(frame)] == twice.holdout[len(frame) :]).all()


@given(copies=st.lists(st.integers(1, 400), min_size=8, max_size=30), alternate=st.booleans(), group=st.booleans())
def test_a_holdout_that_misses_its_size_or_shares_says_so_with_the_figures(
    root: Path, copies: list[int], alternate: bool, group: bool
) -> None:
    """Rows that are equal stay on one side, whatever that does to the size of it."""
    kinds = pd.DataFrame(
        {"number": range(len(copies)), "outcome": ["no", "yes"] * (len(copies) // 2) + ["no"] * (len(copies) % 2)}
    )
    frame = kinds.loc[np.repeat(kinds.index, copies)].reset_index(drop=True)
    if alternate:  # equal rows of both classes
        frame["outcome"] = np.resize(["no", "yes"], len(frame))
    project = settings(root, holdout=0.2, group="number" if group else None)
    try:
        made = split(frame, project)
    except DataError as error:
        assert "rows of class" in str(error)
        assert not alternate or "contain no rows" in str(error)
        return
    assert made.rows.assign(held=made.holdout).groupby("number")["held"].nunique().max() == 1
    cause = (
        "a group stays on one side"
        if group
        else "equal rows stay on one side"
        if max(copies) > 1
        else "there are few rows"
    )
    share, expected = made.holdout.mean(), []
    if abs(share - 0.2) > 0.05:
        expected.append(f"The holdout has {share:.1%} of the rows, not 20.0%: {cause}.")
    for name in ("no", "yes"):
        there, everywhere = np.mean(made.target[made.holdout] == name), np.mean(made.target == name)
        if abs(there - everywhere) > 0.05:
            expected.append(f"The holdout is {there:.1%} {name!r}, all rows are {everywhere:.1%}: {cause}.")
    assert list(made.warnings) == expected


def test_a_few_different_rows_are_not_called_equal(root: Path) -> None:
    made = split(rows(30), settings(root))
    assert made.warnings
    assert all("there are few rows" in warning for warning in made.warnings)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.6])
def test_the_holdout_has_about_the_configured_fraction(root: Path, fraction: float) -> None:
    held_out = split(rows(), settings(root, holdout=fraction)).holdout
    # Four standard deviations of a draw of 4,000 rows.
    assert held_out.mean() == pytest.approx(fraction, abs=4 * np.sqrt(fraction * (1 - fraction) / 4000))


def test_a_larger_fraction_keeps_the_smaller_holdout(root: Path) -> None:
    small = split(rows(), settings(root, holdout=0.2)).holdout
    large = split(rows(), settings(root, holdout=0.4)).holdout
    assert large[small].all()


def test_another_seed_holds_out_other_rows(root: Path) -> None:
    one = split(rows(), settings(root, holdout=0.5, seed=1)).holdout
    other = split(rows(), settings(root, holdout=0.5, seed=2)).holdout
    assert np.mean(one == other) == pytest.approx(0.5, abs=0.05)


def test_the_target_does_not_affect_the_split(root: Path) -> None:
    frame = rows()
    swapped = frame.assign(outcome=frame["outcome"].map({"no": "yes", "yes": "no"}))
    assert sides(frame, settings(root)) == sides(swapped, settings(root))


def test_a_group_is_on_one_side_and_stays_there(root: Path) -> None:
    project, frame = settings(root, group="customer"), rows()
    made = split(frame, project)
    assert made.groups is not None
    on_both = set(made.groups[made.holdout]) & set(made.groups[~made.holdout])
    assert not on_both
    assert 0.3 < made.holdout.mean() < 0.5
    more = split(pd.concat([rows(500, seed=9), frame], ignore_index=True), project)
    assert (more.holdout[500:] == made.holdout).all()


def test_the_newest_rows_are_held_out(root: Path) -> None:
    frame = rows().sample(frac=1, random_state=2)
    frame.iloc[:40, frame.columns.get_loc("day")] = pd.NaT
    made = split(frame, settings(root, time="day", holdout=0.25))
    assert made.holdout.sum() == 1000
    held_out, learned = frame["day"][made.holdout], frame["day"][~made.holdout]
    assert learned.isna().sum() == 40
    assert held_out.min() > learned.max()


def test_features_and_target_are_the_rows_as_given(root: Path) -> None:
    frame = rows().sample(frac=1, random_state=3)
    made = split(frame, settings(root))
    pd.testing.assert_frame_equal(made.features, serve(frame.drop(columns="outcome")))
    pd.testing.assert_frame_equal(made.rows, frame.drop(columns="outcome"))
    assert made.target.tolist() == frame["outcome"].tolist()
    assert made.classes.tolist() == ["no", "yes"]
    assert made.positive == "yes"
    assert made.groups is None


def test_whole_numbers_can_be_classes(root: Path) -> None:
    frame = rows().assign(outcome=lambda f: (f["outcome"] == "yes").astype(int))
    made = split(frame, settings(root, {"positive": 1}))
    assert made.positive == 1
    assert made.classes.tolist() == [0, 1]


def test_three_classes_have_no_positive_one(root: Path) -> None:
    frame = rows().assign(outcome=lambda f: f["number"] % 3)
    made = split(frame, settings(root, {"positive": None}))
    assert made.positive is None
    assert made.classes.tolist() == [0, 1, 2]
    with pytest.raises(ConfigError, match="'yes', but the target has 3 classes") as caught:
        split(frame, settings(root))
    assert caught.value.fix == "Remove data.positive."


@pytest.mark.parametrize(
    ("positive", "classes", "advice"),
    [
        (True, ["no", "yes"], "as in positive: 'yes'"),
        (False, ["off", "on"], "as in positive: 'off'"),
        (None, ["no", "yes"], "Set it to one of them"),
        ("yse", ["no", "yes"], "Did you mean 'yes'?"),
        (">50K", ["<=50K", " >50K"], "Did you mean ' >50K'?"),
        ("bad ", ["bad", "good"], "Did you mean 'bad'?"),
        (1, ["0", "1"], "Quote it: positive: '1'"),
        ("1", [0, 1], "without quotes: positive: 1"),
        ("True", [False, True], "without quotes: positive: true"),
    ],
)
def test_an_unknown_positive_class_is_refused(root: Path, positive: object, classes: list[Any], advice: str) -> None:
    frame = rows().assign(outcome=[classes[row % 2] for row in range(4000)])
    shown = ", ".join(map(repr, sorted(classes)))
    with pytest.raises(ConfigError, match=f"data.positive is {positive!r}, but the classes are {shown}") as caught:
        split(frame, settings(root, {"positive": positive}))
    assert advice in caught.value.fix


@pytest.mark.parametrize(
    ("positive", "classes", "dtype"),
    [
        (" >50K", ["<=50K", " >50K"], object),
        ("NA", ["NA", "some"], "category"),
        (True, [False, True], bool),
        (True, [False, True], "boolean"),
        (1, [0, 1], "Int64"),
        (1, [0.0, 1.0], "Float64"),
        ("yes", ["no", "yes"], "string"),
    ],
)
def test_a_class_of_any_plain_type_is_found(root: Path, positive: object, classes: list[Any], dtype: str) -> None:
    outcome = pd.Series([classes[row % 2] for row in range(4000)], dtype=dtype)
    made = split(rows().assign(outcome=outcome), settings(root, {"positive": positive}))
    assert made.positive == positive
    assert made.classes.tolist() == sorted(classes)
    assert made.target.tolist() == [classes[row % 2] for row in range(4000)]


def test_a_missing_target_is_refused(root: Path) -> None:
    frame = rows()
    frame.loc[[16, 20], "outcome"] = None
    with pytest.raises(DataError, match="'outcome' is missing in 2 of 4,000 rows, first in row 17"):
        split(frame, settings(root))


def test_a_single_class_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="single class, 'yes'"):
        split(rows().assign(outcome="yes"), settings(root))


def test_a_class_missing_from_one_side_is_refused(root: Path) -> None:
    project, frame = settings(root), rows()
    held_out = split(frame, project).holdout
    for side, there in [("training", held_out), ("holdout", ~held_out)]:
        one_sided = frame.assign(outcome=np.where(there, frame["outcome"], "no"))
        with pytest.raises(DataError, match=f"The {side} rows contain no rows of class 'yes'"):
            split(one_sided, project)


@pytest.mark.parametrize(
    ("data", "split_by", "field"),
    [
        ({"target": "outcom"}, {}, "data.target is 'outcom'"),
        ({}, {"group": "client"}, "split.group is 'client'"),
        ({}, {"time": "date"}, "split.time is 'date'"),
    ],
)
def test_a_missing_column_is_named(root: Path, data: dict[str, Any], split_by: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field}, but rows.csv has no such column"):
        split(rows(), settings(root, data, **split_by))


@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.csv.bz2", "rows.csv.xz", "rows.csv.zip"])
def test_a_small_file_that_unpacks_to_more_than_memory_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's memory is said to be small, so that the test is quick."""
    file = tmp_path / name
    frame = rows(2000)
    frame.to_csv(file, index=False)
    assert len(read_rows(file, pd.read_csv).frame) == 2000
    free = type(psutil.virtual_memory())(*[100_000] * len(psutil.virtual_memory()))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    assert file.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"unpacks to more than the 0\.0 GiB of memory"):
        read_rows(file, pd.read_csv)


def test_errors_and_wrong_results_of_load_are_explained(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a\n1\n", "utf-8")

    def broken(_: Path) -> pd.DataFrame:
        raise KeyError("a column")

    def other(_: Path) -> Any:
        return [1, 2]

    with pytest.raises(DataError, match="cannot be read: KeyError: 'a column'"):
        read_rows(file, broken)
    with pytest.raises(ConfigError, match="returned list, not a pandas DataFrame"):
        read_rows(file, other)
    assert read_rows(file, pd.read_csv).frame.equals(pd.DataFrame({"a": [1]}))
