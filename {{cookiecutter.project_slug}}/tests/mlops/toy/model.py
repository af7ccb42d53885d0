"""The classifier that project.yml names."""

from sklearn.base import ClassifierMixin

from mlops.config import Model
from mlops.model.estimators import make_estimator


def model(settings: Model, seed: int) -> ClassifierMixin:
    """The unfitted classifier."""
    return make_estimator(settings, seed)
