"""Make unfitted classifiers, and turn the probabilities of fitted ones into classes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier

from mlops.config import Model
from mlops.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ESTIMATORS = {
    "logistic_regression": "sklearn.linear_model.LogisticRegression",
    "random_forest": "sklearn.ensemble.RandomForestClassifier",
    "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
}
DEFAULTS: dict[str, dict[str, Any]] = {"logistic_regression": {"max_iter": 1000}}


def make_estimator(settings: Model, seed: int) -> ClassifierMixin:
    """Return the classifier, seeded if it takes a seed.

    Raises
    ------
    ConfigError
        The name is not that of a classifier, or a parameter does not fit it.
    """
    kind = _import(ESTIMATORS.get(settings.estimator, settings.estimator))
    params = {**DEFAULTS.get(settings.estimator, {}), **settings.params}
    if not (isinstance(kind, type) and issubclass(kind, BaseEstimator)):  # before it is called
        raise ConfigError(f"model.estimator {settings.estimator} is not an estimator's class.")
    try:
        estimator = kind(**params)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.params does not fit {settings.estimator}: {error}.") from None
    if not (is_classifier(estimator) and hasattr(kind, "predict_proba")):
        raise ConfigError(f"model.estimator {settings.estimator} has no predict_proba().")
    if "random_state" in estimator.get_params() and "random_state" not in params:
        estimator.set_params(random_state=seed)
    return estimator


def predicted_classes(model: Any, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return what ``model.predict`` would, as indices into ``model.classes_``.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_classes)
        The model's, which are not computed again.
    """
    if not hasattr(model, "threshold"):
        return np.asarray(probabilities.argmax(axis=1))
    positive = list(model.classes_).index(model.pos_label)
    return np.where(probabilities[:, positive] >= model.threshold, positive, 1 - positive)


def label_rows(model: Any, probabilities: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return the label and the probabilities by class of each row, as JSON holds them."""
    labels = model.classes_.tolist()
    names = [str(label) for label in labels]
    chosen = predicted_classes(model, probabilities)
    return [
        {"label": labels[label], "probabilities": dict(zip(names, row, strict=True))}
        for label, row in zip(chosen.tolist(), probabilities.tolist(), strict=True)
    ]


def _import(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        names = ", ".join(ESTIMATORS)
        raise ConfigError(
            f"model.estimator is {path!r}, which cannot be imported.",
            f"Use one of {names}, or a class by its path: package.module.MyClassifier.",
        ) from None
