"""Save a fitted model with its signature and an input example, and log it to MLflow."""

from __future__ import annotations

import importlib.metadata
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from mlops.config import Project
from mlops.data.dataset import Dataset
from mlops.errors import ConfigError, first_line
from mlops.model.estimators import TRUSTED_TYPES
from mlops.model.registry import ARTIFACT, model_digest

EXAMPLE_ROWS = 20
SERVING_PACKAGES = ("mlflow", "scikit-learn", "skops", "numpy", "pandas", "scipy", "cloudpickle")


def log_model(model: BaseEstimator, dataset: Dataset, project: Project) -> str:
    """Save the model with an input example, log both, and return the files' digest."""
    import mlflow
    from mlflow.models import infer_signature

    inputs, example = _described(dataset, project.split.seed)
    # For serving outside this project; MLflow takes 15 s to guess them.
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in SERVING_PACKAGES]
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice of MLflow and skops that is followed already
        path = Path(temporary) / ARTIFACT
        try:
            mlflow.sklearn.save_model(
                model,
                path,
                signature=infer_signature(inputs, dataset.target[:1]),
                input_example=example,
                pip_requirements=pins,
                serialization_format=project.model.serialization,
                skops_trusted_types=[*TRUSTED_TYPES, *project.model.trusted_types],
                metadata={"positive": dataset.positive, "classes": dataset.classes.tolist()},
            )
            if project.model.serialization == "skops":
                mlflow.sklearn.load_model(str(path))
        except mlflow.MlflowException as error:
            raise ConfigError(
                f"skops cannot save this model: {first_line(error)}",
                "List your own types in model.trusted_types, or set model.serialization to "
                "cloudpickle, whose files run code when loaded.",
            ) from error
        mlflow.log_artifacts(str(path), ARTIFACT)
        return model_digest(path)


def _described(dataset: Dataset, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a few training rows that fix the signature, and the input example.

    The rows show each column's type and whether it may be missing; MLflow would inspect every
    value in Python, which often takes longer than the fit.
    """
    X = dataset.features
    rows = np.flatnonzero(~dataset.holdout)
    size = min(EXAMPLE_ROWS, len(rows))
    chosen = np.random.default_rng(seed).choice(len(rows), size, replace=False)
    missing = [X[column].isna().to_numpy()[rows] for column in X]
    either = [np.flatnonzero(found)[:1] for lacks in missing for found in (lacks, ~lacks)]
    # Integers are served as floats: one missing value turns their column into floats anyway.
    floats = dict.fromkeys(X.iloc[:0].select_dtypes("number"), "float64")
    shown = np.unique(np.concatenate([chosen, *either]))
    return X.iloc[rows[shown]].astype(floats), X.iloc[rows[chosen]].astype(floats)
