"""The classifier that project.yml names."""

from mlops.config import Model
from mlops.model.estimators import make_estimator
from sklearn.base import ClassifierMixin


def model(settings: Model, seed: int) -> ClassifierMixin:
    """The unfitted classifier."""
    return make_estimator(settings, seed)
