"""Scores challenger and champion on the same holdout, and asks the gate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlops.config import LOWER_IS_BETTER, Project
from mlops.data.dataset import Dataset
from mlops.errors import ConfigError
from mlops.evaluation.bootstrap import resampled_gains
from mlops.evaluation.gate import Decision, Gain, NoChampion, decide, summarize_gain
from mlops.evaluation.metrics import Predictions, measure, measure_slices
from mlops.model.labels import predicted_classes
from mlops.model.registry import Registry, Version, load_run_model, run_signature
from mlops.outputs import write_json

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

    from mlops.model.training import Training


@dataclass(frozen=True)
class Evaluation:
    """A challenger's scores, the champion's beside them, and the gate's decision."""

    run_id: str
    data_digest: str
    classes: list[Any]
    positive: Any
    threshold: float | None
    rows: int
    metrics: dict[str, float]
    slices: list[dict[str, Any]]
    champion: int | None
    champion_metrics: dict[str, float] | None
    decision: Decision


def evaluate(
    dataset: Dataset, training: Training, project: Project, folder: Path, replace: str = ""
) -> Evaluation:
    """Score the holdout and decide.

    Writes decision.json and predictions.parquet (one row per holdout row) into ``folder`` and
    logs the metrics and the decision to the model's run.

    Parameters
    ----------
    replace : str
        Why a person wants the champion replaced without a comparison; "" compares.
    """
    registry = Registry(project)
    for name in _slice_columns(project):
        if name not in dataset.features:
            raise ConfigError(f"gate.slices names {name!r}, but the data has no such column.")
    holdout = dataset.features[dataset.holdout]
    challenger = predict(load_run_model(training.run_id), dataset)
    metrics = measure(challenger)
    slices = measure_slices(challenger, holdout, project.gate.slices)
    champion = registry.champion(exclude_run=training.run_id)
    rival = _score_champion(champion, dataset, replace)
    rival_metrics = None
    against: Gain | NoChampion
    if isinstance(rival, NoChampion):
        against = rival
    else:
        rival_metrics = measure(rival)
        name = project.gate.metric
        sign = -1 if name in LOWER_IS_BETTER else 1
        gain = sign * (metrics[name] - rival_metrics[name])
        resampled = resampled_gains(challenger, rival, name, project.split.seed)
        against = summarize_gain(gain, resampled, project.gate)
    evaluation = Evaluation(
        run_id=training.run_id,
        data_digest=training.data_digest,
        classes=dataset.classes.tolist(),
        positive=dataset.positive,
        threshold=training.threshold,
        rows=len(holdout),
        metrics=metrics,
        slices=slices,
        champion=champion.number if champion else None,
        champion_metrics=rival_metrics,
        decision=decide(metrics, slices, against, project.gate),
    )
    _save(evaluation, challenger, None if isinstance(rival, NoChampion) else rival, folder)
    _log(evaluation, folder)
    return evaluation


def predict(model: ClassifierMixin, dataset: Dataset) -> Predictions:
    """A model's predictions for the holdout.

    Raises
    ------
    ValueError
        The model does not know the data's classes or columns.
    """
    features = dataset.features[dataset.holdout]
    known = list(model.classes_)
    if sorted(map(str, known)) != sorted(map(str, dataset.classes)):
        raise ValueError(f"it predicts {known}, the data holds {dataset.classes.tolist()}")
    order = [known.index(label) for label in dataset.classes]
    probabilities = model.predict_proba(features)
    labels = np.argsort(order)[predicted_classes(model, probabilities)]
    truth = np.searchsorted(dataset.classes, dataset.target[dataset.holdout])
    classes = dataset.classes.tolist()
    positive = None if dataset.positive is None else classes.index(dataset.positive)
    return Predictions(truth, probabilities[:, order], labels, positive)


def _score_champion(
    champion: Version | None, dataset: Dataset, replace: str
) -> Predictions | NoChampion:
    if champion is None:
        return NoChampion("first_model", "There is no champion yet: the thresholds alone decide.")
    who = f"The champion, version {champion.number},"
    if replace:
        return NoChampion("champion_replaced", f"{who} is replaced without a comparison: {replace}")
    try:
        model, signature = load_run_model(champion.run_id), run_signature(champion.run_id)
    except Exception as error:  # whatever broke, an unreadable champion must not be beaten unseen
        return NoChampion(
            "champion_unavailable",
            f"{who} cannot be loaded ({type(error).__name__}: {error}). Restore its files, or "
            f"replace it: mlops evaluate --replace-champion WHY",
        )
    wanted = set(signature.inputs.input_names())
    lacking = sorted(wanted - set(dataset.features))
    advice = "Replace it: mlops evaluate --replace-champion WHY"
    if lacking:
        text = f"{who} needs columns that the data lacks: {', '.join(lacking)}. {advice}"
        return NoChampion("schema_changed", text)
    try:
        return predict(model, dataset)
    except (ValueError, TypeError) as error:
        return NoChampion("schema_changed", f"{who} does not fit the data: {error}. {advice}")


def _save(
    evaluation: Evaluation, challenger: Predictions, champion: Predictions | None, folder: Path
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {"truth": challenger.truth, "label": challenger.labels}
    for name, predictions in [("challenger", challenger), ("champion", champion)]:
        if predictions is not None:
            for number, label in enumerate(evaluation.classes):
                columns[f"{name}_{label}"] = predictions.probabilities[:, number]
    part = folder / "predictions.parquet.part"
    pd.DataFrame(columns).to_parquet(part, index=False)
    part.replace(folder / "predictions.parquet")
    write_json(folder / "decision.json", _without_nan(asdict(evaluation)))


def _log(evaluation: Evaluation, folder: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    defined = {f"holdout_{k}": v for k, v in evaluation.metrics.items() if not math.isnan(v)}
    for name, value in defined.items():
        client.log_metric(evaluation.run_id, name, value)
    client.log_artifact(evaluation.run_id, str(folder / "decision.json"))


def _slice_columns(project: Project) -> list[str]:
    return [s if isinstance(s, str) else next(iter(s)) for s in project.gate.slices]


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: an undefined metric becomes null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
