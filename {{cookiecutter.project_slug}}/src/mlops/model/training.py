"""Fit a pipeline, choose its decision threshold, and log both to MLflow with their provenance."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import precision_recall_curve
from sklearn.model_selection import (
    FixedThresholdClassifier,
    cross_val_predict,
    train_test_split,
)
from sklearn.pipeline import Pipeline

from mlops.config import Project
from mlops.data.dataset import Dataset
from mlops.errors import ConfigError, first_line
from mlops.model import tags
from mlops.model.loading import model_digest
from mlops.model.record import log_record
from mlops.model.registry import ARTIFACT
from mlops.model.saving import SERVING_PACKAGES, log_model
from mlops.model.search import folds, found_params, halving_search
from mlops.model.tracking import connect, git_commit
from mlops.outputs import digest, write_text
from mlops.results import Training, read_result, write_result
from mlops.science import Science

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# More rows did not make the threshold steadier from seed to seed, and cost as much as the fit.
THRESHOLD_ROWS = 10_000
PLAIN = str | int | float | bool | None


def training_key(project: Project, data_digest: str) -> str:
    """Return the SHA-256 of all that determines the model; equal keys mean equal models."""
    science = project.root / "src" / project.package
    parts = {
        "data": data_digest,
        "settings": project.model_dump(mode="json", include={"data", "split", "model"}),
        "metric": project.gate.metric if project.model.search else None,
        "science": [digest(file) for file in sorted(science.rglob("*.py"))],
        "versions": {name: importlib.metadata.version(name) for name in SERVING_PACKAGES},
        "python": platform.python_version(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def earlier_training(folder: Path, key: str) -> Training | None:
    """Return the training recorded in ``folder`` if it has this key and its model is unchanged."""
    import mlflow

    try:
        training = read_result(folder, Training)
        if training.key != key:
            return None
        with tempfile.TemporaryDirectory() as temporary:
            uri = f"runs:/{training.run_id}/{ARTIFACT}"
            path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=temporary))
            return training if model_digest(path) == training.model_digest else None
    except (ConfigError, mlflow.MlflowException, OSError):
        return None


def train(
    dataset: Dataset,
    project: Project,
    science: Science,
    folder: Path,
    tell: Callable[[str], None],
    origin: str = "",
) -> Training:
    """Fit on the training rows and log the model; unchanged inputs reuse the earlier run.

    Writes ``folder``/training.json. Parameters that a search on other machines found are read
    from the folder search beside it. ``origin`` says where the rows came from.
    """
    import mlflow

    connect(project)
    key = training_key(project, dataset.digest)
    earlier = earlier_training(folder, key)
    if earlier:
        tell(f"Nothing has changed since run {earlier.run_id[:8]}: keeping its model.")
        return earlier
    started = folder / "started"
    _end_broken_run(started)
    with mlflow.start_run() as run:
        write_text(started, run.info.run_id)
        found = found_params(folder.parent / "search", key)
        model, threshold = fit(dataset, project, science, found)
        params = _classifier_params(model)
        if threshold is not None:
            mlflow.log_metric("threshold", threshold)
        mlflow.log_params({name: str(value)[:500] for name, value in params.items()})
        _log_provenance(project, origin, dataset.digest, key)
        log_record(dataset, project.data.target)
        logged_digest = log_model(model, dataset, project)
    training = Training(
        run_id=run.info.run_id,
        key=key,
        model_digest=logged_digest,
        data=origin,
        data_digest=dataset.digest,
        threshold=threshold,
        params={k: v if isinstance(v, PLAIN) else str(v) for k, v in params.items()},
        rows=int((~dataset.holdout).sum()),
    )
    write_result(folder, training)
    started.unlink()
    return training


def make_pipeline(dataset: Dataset, project: Project, science: Science) -> Pipeline:
    """Return the unfitted pipeline of the project's features() and model()."""
    X, _, _ = dataset.training_rows()
    model = science.model(project.model, project.split.seed)
    return Pipeline([("features", science.features(X)), ("model", model)])


def fit(
    dataset: Dataset, project: Project, science: Science, params: dict[str, Any] | None = None
) -> tuple[BaseEstimator, float | None]:
    """Search if configured, choose the threshold on training folds, fit on all training rows.

    Parameters
    ----------
    params : dict, optional
        Parameters that a search on other machines found, which replace the search here.

    Returns
    -------
    model : fitted classifier
        With two classes, its ``predict`` applies the threshold.
    threshold : float or None
        None with more than two classes.

    Raises
    ------
    ConfigError
        The science functions or project.yml's model do not fit the data.
    """
    X, y, groups = dataset.training_rows()
    try:
        pipeline = make_pipeline(dataset, project, science)
        if project.model.search:
            found = params or halving_search(pipeline, dataset, project)
            pipeline.set_params(**{f"model__{name}": value for name, value in found.items()})
        if dataset.positive is None:
            return pipeline.fit(X, y), None
        seed = project.split.seed
        threshold = choose_threshold(pipeline, X, y, groups, dataset.positive, seed)
        model = FixedThresholdClassifier(
            pipeline,
            threshold=threshold,
            pos_label=dataset.positive,
            response_method="predict_proba",
        )
        return model.fit(X, y), threshold
    except (ValueError, TypeError) as error:
        dates = ", ".join(map(str, X.select_dtypes("datetime")))
        raise ConfigError(
            f"The model cannot be fitted: {first_line(error)}",
            "Check model.params in project.yml, and features() against the data's columns."
            + (
                f" Turn the dates in {dates} into numbers: few encoders take dates."
                if dates
                else ""
            ),
        ) from error


def choose_threshold(
    pipeline: Pipeline,
    X: pd.DataFrame,
    y: NDArray[np.generic],
    groups: NDArray[np.generic] | None,
    positive: str | int,
    seed: int,
) -> float:
    """Return the threshold, above 0 and below 1, with the highest F1 out of fold on a sample."""
    if len(X) > THRESHOLD_ROWS:
        chosen, _ = train_test_split(
            np.arange(len(X)), train_size=THRESHOLD_ROWS, stratify=y, random_state=seed
        )
        X, y = X.iloc[chosen], y[chosen]
        groups = None if groups is None else groups[chosen]
    scores = cross_val_predict(
        pipeline, X, y, groups=groups, cv=folds(groups, seed), method="predict_proba"
    )
    column = int(np.flatnonzero(np.unique(y) == positive)[0])
    precision, recall, thresholds = precision_recall_curve(y == positive, scores[:, column])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = float(thresholds[int(np.argmax(f1[:-1]))])
    return min(max(best, 1e-6), 1 - 1e-6)


def _log_provenance(project: Project, origin: str, data_digest: str, key: str) -> None:
    """Log settings, package versions, data and commit to the active run."""
    import mlflow

    packages = {d.name: d.version for d in importlib.metadata.distributions()}
    environment = {"python": platform.python_version(), **dict(sorted(packages.items()))}
    mlflow.log_dict(project.model_dump(mode="json"), "project.json")
    mlflow.log_dict(environment, "environment.json")
    mlflow.set_tags(
        {
            tags.DATA: origin,
            tags.DATA_DIGEST: data_digest,
            tags.TRAINING_KEY: key,
            tags.GIT_COMMIT: git_commit(project.root),
        }
    )


def _end_broken_run(started: Path) -> None:
    """Close the MLflow run of a training that was killed."""
    import mlflow

    if started.is_file():
        with contextlib.suppress(mlflow.MlflowException):  # the store was deleted since
            mlflow.MlflowClient().set_terminated(started.read_text("utf-8"), "KILLED")
        started.unlink()


def _classifier_params(model: BaseEstimator) -> dict[str, Any]:
    pipeline = getattr(model, "estimator", model)
    return dict(pipeline.named_steps["model"].get_params())
