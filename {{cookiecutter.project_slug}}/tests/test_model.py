"""Your model(): on features() it beats chance, and the same seed gives the same model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

import mlops.config
from {{ cookiecutter.package_name }}.data import load
from {{ cookiecutter.package_name }}.features import features
from {{ cookiecutter.package_name }}.model import model

PROJECT = mlops.config.load_project(Path(__file__).parent)


def predictions(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each row of a test side is of the positive class, and how probable that seemed."""
    rows = load(PROJECT.data_path)
    sides = train_test_split(rows, stratify=rows[PROJECT.data.target], random_state=0)
    (X, X_test), (y, y_test) = (
        [side.drop(columns=PROJECT.data.target) for side in sides],
        [side[PROJECT.data.target] for side in sides],
    )
    fitted = make_pipeline(features(X), model(PROJECT.model, seed)).fit(X, y)
    positive = fitted.classes_.tolist().index(PROJECT.data.positive)
    return (y_test == PROJECT.data.positive).to_numpy(), fitted.predict_proba(X_test)[:, positive]


def test_it_ranks_unseen_rows_far_better_than_chance() -> None:
    truth, shares = predictions(seed=1)
    assert roc_auc_score(truth, shares) > 0.75


def test_its_probabilities_are_shares() -> None:
    truth, shares = predictions(seed=1)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares.mean() == pytest.approx(truth.mean(), abs=0.05)


def test_the_same_seed_gives_the_same_model() -> None:
    assert (predictions(seed=2)[1] == predictions(seed=2)[1]).all()
