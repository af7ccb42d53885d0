"""Thresholds that call nearly every row or none, classes with few rows, and that they are said at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import Toy, make_rows
from hypothesis import given
from hypothesis import strategies as st
from mlops.data.dataset import Dataset
from mlops.data.identity import identify
from mlops.evaluation.caveats import check_calls, check_class_counts
from mlops.evaluation.metrics import Predictions

CLASSES = ("good", "bad")


def calls(called: int, true: int, rows: int = 1000, positive: int | None = 1) -> list[tuple[str, str]]:
    """Return the notes on a model that calls so many rows the positive class, of which there are ``true``."""
    labels, truth = (np.where(np.arange(rows) < count, 1, 0) for count in (called, true))
    notes = check_calls(Predictions(truth, np.full((rows, 2), 0.5), labels, positive), CLASSES)
    return [(note.code, note.text) for note in notes]


@pytest.mark.parametrize(
    ("called", "true", "codes"),
    [
        (992, 280, ["calls_nearly_all"]),
        (950, 280, ["calls_nearly_all"]),
        (949, 280, []),
        (1000, 949, ["calls_nearly_all"]),
        (1000, 950, []),  # nearly every row is of the class
        (0, 280, ["calls_nearly_none"]),
        (13, 280, ["calls_nearly_none"]),
        (14, 280, []),
        (0, 1, ["calls_nearly_none"]),
        (10, 10, []),  # as rare as the class is
        (0, 0, []),
    ],
)
def test_a_threshold_that_hardly_selects_is_said(called: int, true: int, codes: list[str]) -> None:
    assert [code for code, _ in calls(called, true)] == codes
    assert calls(called, true, positive=None) == []


def test_the_note_has_both_shares() -> None:
    ((_, text),) = calls(992, 280)
    assert text.startswith("The decision threshold calls 99.2% of the holdout rows 'bad'; 28.0% are.")


def dataset(training: dict[str, int], holdout: dict[str, int]) -> Dataset:
    target = np.repeat([*training, *holdout], [*training.values(), *holdout.values()])
    held = np.repeat([False, True], [sum(training.values()), sum(holdout.values())])
    features = pd.DataFrame({"x": np.arange(len(target))})
    keys = identify(features, [])
    return Dataset(features, target, np.unique(target), None, held, None, "digest", features, keys)


def test_a_rare_class_is_named_with_its_rows_and_those_needed() -> None:
    found = check_class_counts(dataset({"a": 800, "b": 40}, {"a": 150, "b": 10}))
    assert [note.code for note in found] == ["rare_class"]
    assert found[0].text.startswith("Class 'b' has 40 training and 10 holdout rows.")
    # 50 of 1,000 rows are b, and 16 % are held out: 50 / (0.05 * 0.16) = 6,250
    assert "about 6,300 rows in all" in found[0].text


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=2))
def test_exactly_the_classes_below_fifty_holdout_rows_are_named(counts: dict[str, tuple[int, int]]) -> None:
    data = dataset({name: pair[0] for name, pair in counts.items()}, {name: pair[1] for name, pair in counts.items()})
    named = [note.text.split("'")[1] for note in check_class_counts(data)]
    assert named == sorted(name for name, (_, held) in counts.items() if held < 50)


def test_a_rare_class_is_said_before_training(toy: Toy) -> None:
    toy.mlops("validate")
    assert "rare_class" not in toy.mlops("train").output
    toy.set(split={"holdout": 0.1})
    make_rows(600).to_csv(toy.root / "rows.csv", index=False)
    toy.mlops("validate")
    said = toy.mlops("train").output
    assert said.index("Note (rare_class): Class 'yes' has ") < said.index("Trained on")


def test_a_threshold_that_calls_every_row_is_said_by_terminal_and_report(toy: Toy) -> None:
    toy.set(gate={"thresholds": {}, "slice_thresholds": {}})
    rows = make_rows()
    rows[["near", "far", "told"]] = np.random.default_rng(4).normal(size=(len(rows), 3))  # nothing to learn from
    rows.to_csv(toy.root / "rows.csv", index=False)
    said = toy.mlops("run").output
    assert "Note (calls_nearly_all): The decision threshold calls " in said
    assert "of the holdout rows 'yes'" in said
    for name in ("report.md", "report.html"):
        assert "calls_nearly_all" in (toy.root / "outputs" / "report" / name).read_text("utf-8")
