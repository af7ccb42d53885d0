"""Your features(): finite numbers for every row, whatever is missing in it or new to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.api.types import is_numeric_dtype

import mlops.config
from {{ cookiecutter.package_name }}.data import load
from {{ cookiecutter.package_name }}.features import features

PROJECT = mlops.config.load_project(Path(__file__).parent)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return load(PROJECT.data_path).drop(columns=PROJECT.data.target)


def test_features_are_finite_numbers_one_line_per_row(rows: pd.DataFrame) -> None:
    made = features(rows).fit_transform(rows)
    assert made.shape[0] == len(rows)
    assert made.shape[1] >= rows.shape[1]
    assert np.isfinite(made.astype(float)).all()


def test_a_missing_value_in_any_column_still_gives_numbers(rows: pd.DataFrame) -> None:
    fitted = features(rows).fit(rows)
    for column, kind in rows.dtypes.items():
        missing = pd.Series(np.nan, rows.index, float if is_numeric_dtype(kind) else object)
        holes = rows.assign(**{str(column): missing}).head(3)
        assert np.isfinite(fitted.transform(holes).astype(float)).all(), column


def test_a_value_that_was_never_seen_still_gives_numbers(rows: pd.DataFrame) -> None:
    fitted = features(rows).fit(rows)
    known = fitted.transform(rows.head(3))
    for column in rows.select_dtypes("object"):
        unseen = fitted.transform(rows.head(3).assign(**{column: "never seen"}))
        assert unseen.shape == known.shape
        assert np.isfinite(unseen.astype(float)).all(), column


def test_a_row_is_transformed_the_same_alone_and_among_others(rows: pd.DataFrame) -> None:
    fitted = features(rows).fit(rows)
    together = fitted.transform(rows.head(5))
    for number in range(5):
        alone = fitted.transform(rows.iloc[[number]])
        np.testing.assert_array_equal(alone[0], together[number])
