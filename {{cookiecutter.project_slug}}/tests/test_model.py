"""Tests of model(): it learns from the features, and repeats itself."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

import mlops.config
from {{ cookiecutter.package_name }}.features import features
from {{ cookiecutter.package_name }}.model import model

Prediction = tuple[pd.Series, NDArray[np.float64]]


def fit_and_predict(project: mlops.config.Project, rows: pd.DataFrame, seed: int) -> Prediction:
    """Return the classes of a test set and their predicted probabilities."""
    target = project.data.target
    train, test = train_test_split(rows, stratify=rows[target], random_state=0)
    X, y = train.drop(columns=target), train[target]
    with threadpool_limits(1):  # with few rows, threads mostly wait for one another
        fitted = make_pipeline(features(X), model(project.model, seed)).fit(X, y)
    return test[target], fitted.predict_proba(test.drop(columns=target))


@pytest.fixture(scope="module")
def prediction(project: mlops.config.Project, rows: pd.DataFrame) -> Prediction:
    return fit_and_predict(project, rows, seed=1)


def test_it_ranks_unseen_rows_better_than_chance(prediction: Prediction) -> None:
    truth, probabilities = prediction
    scores = probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
    assert roc_auc_score(truth, scores, multi_class="ovr") > 0.55  # chance is 0.5


def test_each_row_gets_a_probability_for_every_class(prediction: Prediction) -> None:
    truth, probabilities = prediction
    assert probabilities.shape == (len(truth), truth.nunique())
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_the_same_seed_gives_the_same_model(
    project: mlops.config.Project, rows: pd.DataFrame, prediction: Prediction
) -> None:
    np.testing.assert_array_equal(fit_and_predict(project, rows, seed=1)[1], prediction[1])
