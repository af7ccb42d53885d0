"""Which classifier learns from the features."""

from sklearn.base import ClassifierMixin

from mlops.config import Model
from mlops.model.estimators import make_estimator


def model(settings: Model, seed: int) -> ClassifierMixin:
    """The unfitted classifier that project.yml names; return any other of yours instead."""
    return make_estimator(settings, seed)
