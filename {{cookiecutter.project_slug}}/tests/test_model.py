"""Your model(): on features() it beats chance, and the same seed gives the same model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

import mlops.config
from {{ cookiecutter.package_name }}.data import load
from {{ cookiecutter.package_name }}.features import features
from {{ cookiecutter.package_name }}.model import model

PROJECT = mlops.config.load_project(Path(__file__).parent)


Found = tuple[NDArray[np.bool_], NDArray[np.float64]]


def fit_and_predict(seed: int) -> Found:
    """Whether each row of a test side is of the positive class, and how probable that seemed."""
    rows = load(PROJECT.data_path)
    target = PROJECT.data.target
    train, test = train_test_split(rows, stratify=rows[target], random_state=0)
    X, y = train.drop(columns=target), train[target]
    with threadpool_limits(1):  # with few rows, threads mostly wait for one another
        fitted = make_pipeline(features(X), model(PROJECT.model, seed)).fit(X, y)
    positive = fitted.classes_.tolist().index(PROJECT.data.positive)
    shares = fitted.predict_proba(test.drop(columns=target))[:, positive]
    return (test[target] == PROJECT.data.positive).to_numpy(), shares


@pytest.fixture(scope="module")
def found() -> Found:
    return fit_and_predict(seed=1)


def test_it_ranks_unseen_rows_far_better_than_chance(found: Found) -> None:
    assert roc_auc_score(*found) > 0.75


def test_its_probabilities_are_shares_of_the_rows(found: Found) -> None:
    truth, shares = found
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares.mean() == pytest.approx(truth.mean(), abs=0.05)


def test_the_same_seed_gives_the_same_model(found: Found) -> None:
    assert (fit_and_predict(seed=1)[1] == found[1]).all()
