"""Save a fitted model with its signature and example requests, and log it to MLflow."""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from mlops.config import Project
from mlops.data.dataset import Dataset
from mlops.data.rows import Column, describe, find_problems, read, write
from mlops.errors import ConfigError, DataError, first_line
from mlops.model.loading import EXAMPLES, TRUSTED_TYPES, model_digest, read_model, trust
from mlops.model.registry import ARTIFACT
from mlops.outputs import write_text

RANDOM_EXAMPLES = 20
ALONE: Final = 5  # examples that the saved model also scores one by one
MOST_EXAMPLES: Final = 50  # of a table with many columns: a request has a limit
SERVING_PACKAGES = ("mlflow", "scikit-learn", "skops", "numpy", "pandas", "scipy", "cloudpickle")


def log_model(model: BaseEstimator, dataset: Dataset, project: Project) -> str:
    """Save the model, log its folder, and return the digest of the files."""
    import mlflow

    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / ARTIFACT
        save_model(model, dataset, project, path)
        mlflow.log_artifacts(str(path), ARTIFACT)
        return model_digest(path)


def save_model(model: BaseEstimator, dataset: Dataset, project: Project, path: Path) -> None:
    """Write the model's folder, and check that what is loaded from it can be served.

    Raises
    ------
    ConfigError
        skops cannot save the model, or the loaded model gives other answers.
    DataError
        A column does not survive the way to a server and back.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    training = dataset.features[~dataset.holdout]
    columns = describe(dataset.features)
    inputs: list[Any] = [ColSpec(c.kind, c.name, required=c.required) for c in columns]
    # For serving outside this project; MLflow takes 15 s to guess them.
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in SERVING_PACKAGES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice of MLflow and skops that is followed already
        try:
            mlflow.sklearn.save_model(
                model,
                path,
                signature=ModelSignature(inputs=Schema(inputs)),
                pip_requirements=pins,
                serialization_format=project.model.serialization,
                skops_trusted_types=[*TRUSTED_TYPES, *project.model.trusted_types],
                metadata={"positive": dataset.positive, "classes": dataset.classes.tolist()},
            )
        except mlflow.MlflowException as error:
            raise ConfigError(
                f"skops cannot save this model: {first_line(error)}",
                "If they are types of your own code, list them in model.trusted_types, or set "
                "model.serialization to cloudpickle, whose files run code when loaded. If they "
                "come from the data, turn those columns into numbers or text in features().",
            ) from error
    loaded = read_model(path, trust(project, digest="")).model  # just written
    examples = choose_examples(training, project.split.seed)
    body = json.dumps({"input_data": write(examples)})
    write_text(path / EXAMPLES, body)
    _check_trip(model, loaded, columns, examples, body)


def choose_examples(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return some rows: for each column one with no value, the extremes, and random ones.

    With many columns not all extremes fit.
    """
    size = min(RANDOM_EXAMPLES, len(rows))
    missing: list[int] = []
    extremes: list[int] = []
    for name in rows:
        values = rows[name].reset_index(drop=True)
        lacks = values.isna().to_numpy()
        if lacks.any() and not lacks[missing].any():
            missing.append(int(lacks.argmax()))
        if not pd.api.types.is_object_dtype(values) and not lacks.all():
            extremes += [int(values.argmin()), int(values.argmax())]
    random = np.random.default_rng(seed).choice(len(rows), size, replace=False).tolist()
    chosen = list(dict.fromkeys([*missing, *extremes, *random]))
    return rows.iloc[chosen[: max(MOST_EXAMPLES, len(missing))]].reset_index(drop=True)


def _check_trip(
    model: Any, loaded: Any, columns: list[Column], examples: pd.DataFrame, body: str
) -> None:
    """Send the examples through the server's own parser, and compare rows and answers."""
    records = json.loads(body)["input_data"]
    for problem in find_problems(columns, records):
        raise DataError(
            f"The column {problem['column']!r} cannot be served: a value {problem['problem']}.",
            "Give it one kind of values in load().",
        )
    rows = read(columns, records)
    for name in examples:
        if not rows[name].equals(examples[name]):
            raise DataError(
                f"The column {name!r} cannot be served: its values arrive changed.",
                "Turn them into numbers, text, booleans or dates in load().",
            )
    try:
        answers = loaded.predict_proba(rows)
        alone = [loaded.predict_proba(rows[row : row + 1]) for row in range(len(rows))[:ALONE]]
    except Exception as error:  # whatever features() and model() raise
        raise ConfigError(
            f"The saved model cannot score single rows: {type(error).__name__}: "
            f"{first_line(error)}",
            "A server may get one row at a time: try the model on frame.head(1).",
        ) from error
    if not np.allclose(np.concatenate(alone), answers[:ALONE], atol=1e-9):
        raise ConfigError(
            "The model answers a row differently when it comes without other rows.",
            "Let features() learn means, ranks and the like in fit(), from the training rows, and "
            "not from the rows that it transforms.",
        )
    if not np.allclose(answers, model.predict_proba(examples), atol=1e-9):
        raise ConfigError(
            "The saved model gives other answers than the trained one.",
            "Look for state that is not saved, such as random numbers in predict_proba().",
        )
