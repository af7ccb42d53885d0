"""Score challenger and champion on the same holdout, and apply the gate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlops.config import Project
from mlops.data.dataset import Dataset
from mlops.data.identity import seen_rows
from mlops.errors import ConfigError
from mlops.evaluation.bootstrap import resampled_gains
from mlops.evaluation.gate import decide, summarize_gain
from mlops.evaluation.metrics import Predictions, gain_in, measure, measure_slices
from mlops.evaluation.rival import find_rival, predict
from mlops.model.record import trained_rows
from mlops.model.registry import Registry, load_run_model
from mlops.results import Evaluation, Gain, Reason, Training, write_result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROW = "row"  # the column of predictions.parquet with the rows' keys


def evaluate(
    dataset: Dataset, training: Training, project: Project, folder: Path, replace: str = ""
) -> Evaluation:
    """Score the holdout and decide.

    Writes evaluation.json and predictions.parquet (one row per judged row) into ``folder`` and
    logs metrics and evaluation.json to the model's run.

    Raises
    ------
    ConfigError
        The split has changed since the training.
    """
    gate, registry = project.gate, Registry(project)
    columns = [item if isinstance(item, str) else next(iter(item)) for item in gate.slices]
    _require_unseen(dataset, training)
    champion = registry.champion(exclude_run=training.run_id)
    rival = find_rival(champion, dataset, replace)
    judged = dataset.holdout if isinstance(rival, Reason) else rival.judged
    challenger = predict(load_run_model(training.run_id), dataset, judged)
    metrics = measure(challenger)
    sliced = dataset.features.loc[judged, list(dict.fromkeys(columns))]
    slices = measure_slices(challenger, sliced, gate.slices)
    models, rival_metrics, comparison = {"challenger": challenger}, None, None
    against: Gain | Reason
    if isinstance(rival, Reason):
        against = rival
    else:
        models["champion"], comparison = rival.predictions, rival.comparison
        rival_metrics = measure(rival.predictions)
        value = gain_in(gate.metric, metrics, rival_metrics)
        against = _summarize(value, challenger, rival.predictions, project)
    evaluation = Evaluation(
        run_id=training.run_id,
        data_digest=training.data_digest,
        classes=dataset.classes.tolist(),
        positive=dataset.positive,
        threshold=training.threshold,
        rows=int(judged.sum()),
        comparison=comparison,
        gate_metric=gate.metric,
        metrics=metrics,
        slices=slices,
        champion=champion.number if champion else None,
        champion_metrics=rival_metrics,
        decision=decide(metrics, slices, against, gate, comparison),
    )
    _save(evaluation, models, dataset, judged, folder)
    return evaluation


def _require_unseen(dataset: Dataset, training: Training) -> None:
    """Refuse to judge a model by rows that it was trained on."""
    trained = trained_rows(training.run_id)
    seen = seen_rows(trained, dataset.rows, dataset.keys) if trained else dataset.holdout
    if isinstance(seen, str) or (seen & dataset.holdout).any():
        raise ConfigError(
            "The holdout may contain rows that the model was trained on: the split has changed "
            "since.",
            "Run `mlops train`.",
        )


def _summarize(
    value: float | None, challenger: Predictions, champion: Predictions, project: Project
) -> Gain | Reason:
    metric = project.gate.metric
    if value is None:
        text = f"{metric} is undefined for one of the two models."
        return Reason(code="not_confident", text=text)
    resampled = resampled_gains(challenger, champion, metric, project.split.seed)
    return summarize_gain(value, resampled, project.gate)


def _save(
    evaluation: Evaluation,
    models: Mapping[str, Predictions],
    dataset: Dataset,
    judged: NDArray[np.bool_],
    folder: Path,
) -> None:
    """Write the files, and log the evaluation to the model's run."""
    import mlflow

    challenger = models["challenger"]
    columns: dict[str, Any] = {ROW: dataset.keys.keys[judged]}
    if dataset.keys.kind == "id":
        columns |= {f"id_{name}": dataset.rows.loc[judged, name] for name in dataset.keys.columns}
    columns |= {"truth": challenger.truth, "label": challenger.labels}
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
