"""Tests of features(): finite numbers for any row, even with missing or unseen values."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import TransformerMixin

from {{ cookiecutter.package_name }}.features import features


@pytest.fixture(scope="module")
def fitted(inputs: pd.DataFrame) -> TransformerMixin:
    return features(inputs).fit(inputs)


def transform(fitted: TransformerMixin, rows: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray(fitted.transform(rows), dtype=float)


def test_every_row_becomes_finite_numbers(fitted: TransformerMixin, inputs: pd.DataFrame) -> None:
    numbers = transform(fitted, inputs)
    assert len(numbers) == len(inputs)
    assert np.isfinite(numbers).all()


def test_any_column_may_be_missing_a_value(fitted: TransformerMixin, inputs: pd.DataFrame) -> None:
    for column in inputs:
        missing = inputs[column].where(inputs[column].isna()).head(3)
        assert missing.isna().all()
        gaps = inputs.head(3).assign(**{column: missing})
        assert np.isfinite(transform(fitted, gaps)).all(), column


def test_text_may_hold_an_unseen_value(fitted: TransformerMixin, inputs: pd.DataFrame) -> None:
    known = transform(fitted, inputs.head(3))
    for column in inputs.select_dtypes("object"):
        unseen = transform(fitted, inputs.head(3).assign(**{column: "never seen"}))
        assert unseen.shape == known.shape
        assert np.isfinite(unseen).all(), column


def test_a_row_gets_the_same_features_alone_and_in_a_batch(
    fitted: TransformerMixin, inputs: pd.DataFrame
) -> None:
    batch = transform(fitted, inputs.head(5))
    for number in range(5):
        np.testing.assert_array_equal(transform(fitted, inputs.iloc[[number]])[0], batch[number])
