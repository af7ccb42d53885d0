"""Score challenger and champion on the same holdout, and apply the gate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlops.config import Gate, Project
from mlops.data.dataset import Dataset
from mlops.data.identity import seen_rows
from mlops.data.profile import distances
from mlops.errors import ConfigError
from mlops.evaluation.bootstrap import resampled_gains
from mlops.evaluation.caveats import check_calls
from mlops.evaluation.data_change import Champion, check_data
from mlops.evaluation.gate import decide, summarize_gain
from mlops.evaluation.looks import check_looks, count_looks, holdout_digest
from mlops.evaluation.metrics import Predictions, gain_in, measure, measure_slices
from mlops.evaluation.power import describe_power
from mlops.evaluation.rival import Rival, find_rival, predict
from mlops.evaluation.weakness import check_gate
from mlops.model.record import trained_profile, trained_rows
from mlops.model.registry import Registry, Version, load_run_model
from mlops.results import Evaluation, Gain, Reason, Shift, Training, write_result

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROW = "row"  # the column of predictions.parquet with the rows' keys


def evaluate(
    dataset: Dataset,
    training: Training,
    project: Project,
    folder: Path,
    replace: str = "",
    accept: str = "",
) -> Evaluation:
    """Score the holdout and decide.

    Writes evaluation.json and predictions.parquet (one row per judged row) into ``folder`` and
    logs metrics and the evaluation to the model's run, beside earlier ones.

    Raises
    ------
    ConfigError
        The split has changed since the training.
    """
    gate = project.gate
    _require_unseen(dataset, training)
    champion = Registry(project).champion(exclude_run=training.run_id)
    rival = find_rival(champion, dataset, project, replace)
    judged = dataset.holdout if isinstance(rival, Reason) else rival.judged
    model = load_run_model(project, training.run_id, training.model_digest).model
    challenger = predict(model, dataset, judged)
    metrics = measure(challenger)
    slices = measure_slices(challenger, dataset.features[judged], gate.slices)
    models, rival_metrics, comparison = {"challenger": challenger}, None, None
    against: Gain | Reason
    if isinstance(rival, Reason):
        against = rival
    else:
        models["champion"], comparison = rival.predictions, rival.comparison
        rival_metrics = measure(rival.predictions)
        value = gain_in(gate.metric, metrics, rival_metrics)
        against = _summarize(value, challenger, rival.predictions, project)
    decision = decide(metrics, slices, against, gate, comparison)
    shifts = _shifts(champion, training, project) if champion else ()
    if champion and isinstance(rival, Rival):
        registered = champion.figure(gate.metric)
        standing = Champion(champion.number, registered, rival.registered, shifts)
        decision = check_data(decision, challenger, standing, gate, project.split.seed, accept)
    evaluation = Evaluation(
        run_id=training.run_id,
        data_digest=training.data_digest,
        classes=dataset.classes.tolist(),
        positive=dataset.positive,
        threshold=training.threshold,
        rows=int(judged.sum()),
        class_rows=[int(np.sum(dataset.target[judged] == label)) for label in dataset.classes],
        comparison=comparison,
        gate_metric=gate.metric,
        metrics=metrics,
        slices=slices,
        champion=champion.number if champion else None,
        champion_metrics=rival_metrics,
        decision=decision,
        shifts=shifts,
        looks=count_looks(training.run_id, holdout_digest(dataset)),
    )
    evaluation = _annotate(evaluation, challenger, gate)
    _save(evaluation, models, dataset, judged, folder)
    return evaluation


def _annotate(evaluation: Evaluation, challenger: Predictions, gate: Gate) -> Evaluation:
    """Add what to know before trusting the decision."""
    gain = evaluation.decision.gain
    power = describe_power(gain.detectable, evaluation.rows, gate) if gain else ""
    notes = (
        *check_calls(challenger, evaluation.classes),
        *check_looks(evaluation.looks),
        *check_gate(gate, evaluation),
    )
    return evaluation.model_copy(update={"power": power, "notes": notes})


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


def _shifts(champion: Version, training: Training, project: Project) -> tuple[Shift, ...]:
    """Return how far the columns have moved since the champion's training, if that is known."""
    before, today = (trained_profile(model.run_id) for model in (champion, training))
    return distances(before, today, moving=[project.split.time]) if before and today else ()


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
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")  # Azure ML refuses a second of a name
    text = evaluation.model_dump_json(indent=2)
    mlflow.log_text(text, f"evaluations/{now}.json", run_id=evaluation.run_id)
