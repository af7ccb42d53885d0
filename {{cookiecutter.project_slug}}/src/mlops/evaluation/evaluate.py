"""Score challenger and champion on the same holdout, and apply the gate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlops.config import Project
from mlops.data.dataset import Dataset
from mlops.errors import ConfigError
from mlops.evaluation.bootstrap import resampled_gains
from mlops.evaluation.caveats import check_calls
from mlops.evaluation.gate import decide, summarize_gain
from mlops.evaluation.looks import check_looks, count_looks, holdout_digest
from mlops.evaluation.metrics import Predictions, gain_in, measure, measure_slices
from mlops.evaluation.power import describe_power
from mlops.evaluation.weakness import check_gate
from mlops.model.estimators import predicted_classes
from mlops.model.registry import Registry, Version, load_run_model, run_signature
from mlops.results import Evaluation, Gain, Reason, Training, write_result

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin


def evaluate(
    dataset: Dataset, training: Training, project: Project, folder: Path, replace: str = ""
) -> Evaluation:
    """Score the holdout and decide.

    Writes evaluation.json and predictions.parquet (one row per holdout row) into ``folder`` and
    logs metrics and evaluation.json to the model's run.

    Raises
    ------
    ConfigError
        project.yml names slices that the data does not have.
    """
    gate, registry = project.gate, Registry(project)
    sliced = dataset.features.loc[dataset.holdout, _slice_columns(dataset, project)]
    challenger = predict(load_run_model(training.run_id), dataset)
    metrics = measure(challenger)
    slices = measure_slices(challenger, sliced, gate.slices)
    champion = registry.champion(exclude_run=training.run_id)
    rival = _score_champion(champion, dataset, replace)
    models, rival_metrics = {"challenger": challenger}, None
    against: Gain | Reason
    if isinstance(rival, Reason):
        against = rival
    else:
        models["champion"], rival_metrics = rival, measure(rival)
        value = gain_in(gate.metric, metrics, rival_metrics)
        against = _summarize(value, challenger, rival, project)
    power = (
        describe_power(against.detectable, len(sliced), gate) if isinstance(against, Gain) else ""
    )
    looks = count_looks(training.run_id, holdout_digest(dataset))
    evaluation = Evaluation(
        run_id=training.run_id,
        data_digest=training.data_digest,
        classes=dataset.classes.tolist(),
        positive=dataset.positive,
        threshold=training.threshold,
        rows=len(sliced),
        gate_metric=gate.metric,
        metrics=metrics,
        slices=slices,
        champion=champion.number if champion else None,
        champion_metrics=rival_metrics,
        decision=decide(metrics, slices, against, gate),
        class_rows=tuple(np.bincount(challenger.truth, minlength=len(dataset.classes)).tolist()),
        power=power,
        looks=looks,
        notes=(*check_calls(challenger, dataset.classes.tolist()), *check_looks(looks)),
    )
    notes = (*evaluation.notes, *check_gate(gate, evaluation))
    evaluation = evaluation.model_copy(update={"notes": notes})
    _save(evaluation, models, folder)
    return evaluation


def predict(model: ClassifierMixin, dataset: Dataset) -> Predictions:
    """Return a model's predictions for the holdout.

    Raises
    ------
    ValueError
        The model does not know the data's classes or columns.
    """
    features = dataset.features[dataset.holdout]
    known = list(model.classes_)
    if sorted(map(str, known)) != sorted(map(str, dataset.classes)):
        raise ValueError(f"it predicts {known}, the data has {dataset.classes.tolist()}")
    order = [known.index(label) for label in dataset.classes]
    probabilities = model.predict_proba(features)
    labels = np.argsort(order)[predicted_classes(model, probabilities)]
    truth = np.searchsorted(dataset.classes, dataset.target[dataset.holdout])
    classes = dataset.classes.tolist()
    positive = None if dataset.positive is None else classes.index(dataset.positive)
    return Predictions(truth, probabilities[:, order], labels, positive)


def _slice_columns(dataset: Dataset, project: Project) -> list[str]:
    columns = []
    for item in project.gate.slices:
        name = item if isinstance(item, str) else next(iter(item))
        if name not in dataset.features:
            raise ConfigError(f"gate.slices names {name!r}, but the data has no such column.")
        if name != item and not pd.api.types.is_numeric_dtype(dataset.features[name]):
            raise ConfigError(
                f"gate.slices cuts {name!r} at edges, but the column is not numeric.",
                f"Write {name} without edges.",
            )
        columns.append(name)
    return list(dict.fromkeys(columns))


def _score_champion(
    champion: Version | None, dataset: Dataset, replace: str
) -> Predictions | Reason:
    """Return the champion's predictions, or why it cannot be compared with."""
    if champion is None:
        text = "There is no champion yet: the thresholds alone decide."
        return Reason(code="first_model", text=text)
    who = f"The champion, version {champion.number},"
    if replace:
        text = f"{who} is replaced without a comparison: {replace}"
        return Reason(code="champion_replaced", text=text)
    advice = "replace it: mlops evaluate --replace-champion REASON"
    try:
        model, signature = load_run_model(champion.run_id), run_signature(champion.run_id)
    except Exception as error:  # whatever is wrong, a champion that cannot be scored is not beaten
        text = f"{who} cannot be loaded ({type(error).__name__}: {error})."
        return Reason(code="champion_unavailable", text=f"{text} Restore its files, or {advice}")
    missing = sorted(set(signature.inputs.input_names()) - set(dataset.features))
    if missing:
        text = f"{who} needs columns that the data does not have: {', '.join(missing)}."
        return Reason(code="schema_changed", text=f"{text} Restore them, or {advice}")
    try:
        return predict(model, dataset)
    except (ValueError, TypeError) as error:
        text = f"{who} does not fit the data: {error}."
        return Reason(code="schema_changed", text=f"{text} Restore the data, or {advice}")


def _summarize(
    value: float | None, challenger: Predictions, champion: Predictions, project: Project
) -> Gain | Reason:
    metric = project.gate.metric
    if value is None:
        text = f"{metric} is undefined for one of the two models."
        return Reason(code="not_confident", text=text)
    resampled = resampled_gains(challenger, champion, metric, project.split.seed)
    return summarize_gain(value, resampled, project.gate)


def _save(evaluation: Evaluation, models: Mapping[str, Predictions], folder: Path) -> None:
    """Write the files, and log the evaluation to the model's run."""
    import mlflow

    challenger = models["challenger"]
    columns: dict[str, Any] = {"truth": challenger.truth, "label": challenger.labels}
    for name, predictions in models.items():
        for number, label in enumerate(evaluation.classes):
            columns[f"{name}_{label}"] = predictions.probabilities[:, number]
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "predictions.parquet.part"
    pd.DataFrame(columns).to_parquet(part, index=False)
    part.replace(folder / "predictions.parquet")
    write_result(folder, evaluation)
    metrics = {f"holdout_{k}": v for k, v in evaluation.metrics.items() if v is not None}
    mlflow.log_metrics(metrics, run_id=evaluation.run_id)
    mlflow.log_artifact(str(folder / evaluation.file), run_id=evaluation.run_id)
