"""Your load(): the sample has the rows, columns and types that the features are made from."""

from __future__ import annotations

from pathlib import Path

import mlops.config
from {{ cookiecutter.package_name }}.data import load

PROJECT = mlops.config.load_project(Path(__file__).parent)
TEXTS = {"home", "marital", "records", "job"}
NUMBERS = {"seniority", "time", "age", "expenses", "income", "assets", "debt", "amount", "price"}


def test_the_sample_has_every_column_in_its_type() -> None:
    rows = load(PROJECT.data_path)
    assert len(rows) == 4454
    assert set(rows) == {"status"} | TEXTS | NUMBERS
    assert set(rows.select_dtypes("number")) == NUMBERS


def test_each_row_has_one_of_two_classes() -> None:
    target = load(PROJECT.data_path)[PROJECT.data.target]
    assert set(target) == {"good", "bad"}
    assert PROJECT.data.positive == "bad"
    assert 0.2 < (target == "bad").mean() < 0.4


def test_missing_values_are_read_as_missing() -> None:
    rows = load(PROJECT.data_path)
    assert rows["income"].isna().sum() == 381
    assert rows["home"].isna().sum() == 6
    assert not rows["age"].isna().any()
