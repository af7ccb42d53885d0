"""A pipeline as plain arrays gives the model's own answers, or leaves them to the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import EXAMPLES
from mlops.data.rows import arrays, serve
from mlops.serving.compiled import Compiled, NotCompiled, compile_model
from sklearn.base import ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier

ROWS = 400
WORDS = ["a", "b", "c", "", "\u00e9", "None", "nan", "\U0001f600", "rare"]


def table(rng: np.random.Generator, rows: int = ROWS, unknown: bool = False) -> pd.DataFrame:
    """Make rows of two numbers with gaps, one without, a flag, and two texts, one of them with gaps."""
    words = WORDS[:8] + ["never seen", "\x00"] * unknown + WORDS[8:]
    weights = np.array([8.0] * (len(words) - 1) + [0.3])
    wild = [0.0, -0.0, 1e12, -1e12, 1e-300, 3e38, 1e39, -1e300, 1.7e308, 5.0] if unknown else [0.0, -0.0, 5.0]

    def numbers(gaps: float) -> Any:
        values = rng.normal(size=rows).round(int(rng.integers(0, 6)))
        values = np.where(rng.random(rows) < 0.1, rng.choice(wild, size=rows), values)
        return np.where(rng.random(rows) < gaps, np.nan, values)

    def texts(gaps: float) -> Any:
        drawn = rng.choice(words, size=rows, p=weights / weights.sum()).astype(object)
        return pd.Series(drawn).where(rng.random(rows) >= gaps, np.nan)

    made = {"one": numbers(0.1), "two": numbers(0.3), "full": numbers(0), "flag": rng.random(rows) < 0.5}
    return serve(pd.DataFrame({**made, "word": texts(0), "gaps": texts(0.2)}))


def transformer(rng: np.random.Generator) -> ColumnTransformer:
    pick = lambda *kinds: kinds[rng.integers(len(kinds))]  # noqa: E731
    imputer = SimpleImputer(strategy=pick("mean", "median", "most_frequent", "constant"))
    standard = pick(StandardScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False))
    scaler = pick(standard, RobustScaler(), MinMaxScaler(), MaxAbsScaler(), "passthrough")
    onehot = OneHotEncoder(
        handle_unknown=pick("ignore", "infrequent_if_exist", "warn", "error"),
        min_frequency=pick(None, 10, 60),
        max_categories=pick(None, 4),
        drop=pick(None, None, "if_binary", "first"),
        sparse_output=pick(True, False),
    )
    ordinal = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=pick(-1, np.nan),
        encoded_missing_value=pick(-2, np.nan),
        min_frequency=pick(None, 20),
    )
    words = Pipeline([("fill", SimpleImputer(strategy="most_frequent")), ("code", pick(onehot, ordinal))])
    parts = [
        ("numbers", make_pipeline(imputer, scaler), ["two", "one"]),
        ("full", pick("passthrough", "drop", StandardScaler()), ["full"]),
        ("flag", pick("passthrough", OneHotEncoder(drop="if_binary")), ["flag"]),
        ("words", pick(onehot, ordinal, words), ["word", "gaps"]),
    ]
    order = rng.permutation(len(parts))
    return ColumnTransformer([parts[place] for place in order], sparse_threshold=pick(0, 0, 0.3))


def classifier(rng: np.random.Generator) -> ClassifierMixin:
    state = int(rng.integers(1000))
    kinds: list[ClassifierMixin] = [
        LogisticRegression(max_iter=30),
        DecisionTreeClassifier(max_depth=6, random_state=state),
        RandomForestClassifier(12, max_leaf_nodes=40, random_state=state),
        ExtraTreesClassifier(12, max_depth=8, random_state=state),
        HistGradientBoostingClassifier(max_iter=12, min_samples_leaf=5, random_state=state),
    ]
    return kinds[rng.integers(len(kinds))]


def outcome(frame: pd.DataFrame, rng: np.random.Generator) -> Any:
    score = frame["full"].clip(-3, 3) + (frame["word"] == "a") + rng.normal(size=len(frame))
    if rng.random() < 0.3:
        return np.array(["high", "low", "middle"])[np.digitize(score, [-0.5, 1])]
    return np.where(score > 0, "yes", "no")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", range(EXAMPLES))
def test_random_pipelines_give_the_models_answers(number: int) -> None:
    rng = np.random.default_rng(number)
    frame = table(rng)
    model: Any = Pipeline([("features", transformer(rng)), ("model", classifier(rng))])
    target = outcome(frame, rng)
    try:
        model.fit(frame, target)
    except (ValueError, TypeError):  # gaps, or a sparse matrix, that the classifier does not take
        return
    if len(model.classes_) == 2 and rng.random() < 0.5:
        model = FixedThresholdClassifier(model, threshold=0.4, pos_label="yes").fit(frame, target)
    compiled = compile_model(model, frame.head(30))
    if isinstance(compiled, str):
        assert "categories that are neither text nor numbers" in compiled, compiled  # flags
        return
    rows = table(rng, 200, unknown=True)
    for part in (frame, rows, *(rows[row : row + 1] for row in range(60))):
        try:
            expected = model.predict_proba(part)
        except ValueError:  # then the arrays may not answer either
            with pytest.raises(NotCompiled):
                compiled.predict_proba(arrays(part))
            continue
        try:
            found = compiled.predict_proba(arrays(part))
        except NotCompiled:
            continue
        assert np.allclose(found, expected, rtol=0, atol=1e-9, equal_nan=True)


def fitted(steps: Any, model: Any = None) -> tuple[Any, pd.DataFrame]:
    rng = np.random.default_rng(0)
    frame = table(rng)
    pipeline = Pipeline([("features", steps), ("model", model or LogisticRegression())])
    return pipeline.fit(frame, outcome(frame, rng)), frame


def numbers(step: Any) -> ColumnTransformer:
    return ColumnTransformer([("n", step, ["one", "two"])])


def test_most_random_pipelines_are_compiled() -> None:
    """Else the test above would show nothing."""
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("n", SimpleImputer(), ["one", "two"]), ("w", words, ["word"])])
    model, frame = fitted(columns, HistGradientBoostingClassifier(max_iter=5))
    compiled = compile_model(model, frame.head(20))
    assert isinstance(compiled, Compiled)


class Own(LogisticRegression):
    """A class of a project's own: what it does cannot be known."""


@pytest.mark.parametrize(
    ("steps", "model", "reason"),
    [
        (numbers(KNNImputer()), None, "KNNImputer with these settings"),
        (numbers(make_pipeline(SimpleImputer(), PolynomialFeatures())), None, "PolynomialFeatures with these settings"),
        (numbers(SimpleImputer(add_indicator=True)), None, "SimpleImputer with an indicator"),
        (numbers(SimpleImputer()), GaussianNB(), "GaussianNB is not one of the known classifiers"),
        (numbers(SimpleImputer()), Own(), "Own is not one of the known classifiers"),
        (ColumnTransformer([("n", SimpleImputer(), [0])]), None, "not chosen by name"),
    ],
)
def test_what_is_not_known_is_left_to_the_model_with_a_reason(steps: Any, model: Any, reason: str) -> None:
    made, frame = fitted(steps, model)
    found = compile_model(made, frame.head(20))
    assert isinstance(found, str)
    assert reason in found


def test_arrays_that_differ_from_the_model_never_serve() -> None:
    """A model whose arithmetic was changed after fitting, as another version of scikit-learn might."""
    model, frame = fitted(numbers(SimpleImputer()))
    assert isinstance(compile_model(model, frame.head(20)), Compiled)
    inner = model.predict_proba
    model.predict_proba = lambda rows: inner(rows) * 0.999
    assert compile_model(model, frame.head(20)) == "the arrays give other answers than the model"


def test_without_examples_nothing_is_compiled() -> None:
    model, frame = fitted(numbers(SimpleImputer()))
    assert compile_model(model, frame.head(0)) == "the model was saved without examples to compare with"
