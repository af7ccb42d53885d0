"""Write the report of an evaluation: a page, Markdown for a pull request, and a model card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from mlops.config import LOWER_IS_BETTER, Gate, Project
from mlops.data.dataset import Dataset
from mlops.errors import ConfigError
from mlops.evaluation.charts import draw_charts
from mlops.evaluation.importance import permutation_importances
from mlops.evaluation.metrics import Predictions, gain_in, measure
from mlops.model.registry import load_run_model
from mlops.model.tags import GIT_COMMIT
from mlops.model.tracking import connect
from mlops.outputs import render
from mlops.results import Evaluation, Label, Metrics, Registration, Slice, Training

LABELS: Mapping[str, str] = {
    "average_precision": "Average precision",
    "roc_auc": "ROC AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
    "accuracy": "Accuracy",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
}
PACKAGES = ("mlflow", "numpy", "pandas", "python", "scikit-learn", "scipy", "skops")
# A pull-request comment holds 65,536 characters; the page shows all rows.
MARKDOWN_ROWS = 25
SHOWN_IMPORTANCES = 15
LARGEST_MATRIX = 12
LONGEST_NAME = 60
NO_VALUE = "\N{EN DASH}"
NO_NOTES = (
    "The intended use and known limits of this model are not documented yet. Describe them in "
    "docs/model-card.md to show them here."
)


@dataclass(frozen=True)
class MetricRow:
    """A metric of challenger and champion; ``gain`` is positive where the challenger is better."""

    label: str
    challenger: float | None
    champion: float | None
    gain: float | None
    lower_is_better: bool
    decides: bool


@dataclass(frozen=True)
class SliceRow:
    """A slice; ``state`` is passed, failed, small (not judged), or "" without thresholds."""

    slice: Slice
    rows: int
    state: str
    metrics: Metrics


@dataclass(frozen=True)
class ClassRow:
    """The challenger's metrics for one class against the rest."""

    name: Label
    rows: int
    metrics: Metrics


@dataclass(frozen=True)
class InputRow:
    """A column that the model is given; ``missing`` is the fraction of missing values."""

    name: str
    kind: str
    missing: float


@dataclass(frozen=True)
class BalanceRow:
    """The number of rows of one class on each side of the split."""

    name: Label
    training: int
    holdout: int


@dataclass(frozen=True)
class Confusion:
    """Counts by true class (outer) and predicted class (inner), and the names of both."""

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def write_report(
    evaluation: Evaluation,
    training: Training,
    registration: Registration | None,
    dataset: Dataset,
    project: Project,
) -> Path:
    """Write report.html, report.md and model_card.md into outputs/report.

    Parameters
    ----------
    registration : Registration or None
        The last one; ignored if it is about another run.
    dataset : Dataset
        The rows that were evaluated.

    Returns
    -------
    Path
        Of report.html.

    Raises
    ------
    ConfigError
        Evaluation, training, predictions and data do not belong together, or the run is gone.
    """
    if evaluation.run_id != training.run_id:
        raise ConfigError("The evaluation is of an earlier model.", "Run `mlops evaluate`.")
    models = read_predictions(project.outputs / "evaluation" / "predictions.parquet", evaluation)
    challenger = models["challenger"]
    truth = np.searchsorted(dataset.classes, dataset.target[dataset.holdout])
    if not np.array_equal(truth, challenger.truth):
        raise ConfigError("The evaluation is of other data.", "Run `mlops run`.")
    gate, seed = project.gate, project.split.seed
    model, provenance = _read_run(training.run_id, project)
    importances = permutation_importances(model, dataset, gate.metric, seed)
    registered = registration is not None and registration.run_id == evaluation.run_id
    values: dict[str, Any] = {
        "project": project,
        "evaluation": evaluation,
        "training": training,
        "version": registration.version if registration and registered else None,
        "metrics": metric_rows(evaluation, gate),
        "thresholds": sorted(evaluation.decision.thresholds, key=lambda result: result.passed),
        "slices": slice_rows(evaluation, gate),
        "slice_metrics": _slice_metrics(gate),
        "per_class": class_rows(challenger, evaluation.classes),
        "confusion": confusion(challenger, evaluation.classes),
        "importances": importances[:SHOWN_IMPORTANCES],
        "inputs": input_rows(dataset),
        "balance": balance_rows(dataset),
        "notes": read_notes(project.root / "docs" / "model-card.md"),
        "provenance": provenance,
        "labels": LABELS,
        "limit": MARKDOWN_ROWS,
        "number": number,
        "signed": signed,
        "plain": plain,
    }
    scores = {"challenger": evaluation.metrics, "champion": evaluation.champion_metrics or {}}
    charts = draw_charts(models, scores, evaluation.classes, evaluation.decision.gain, gate)
    folder = project.outputs / "report"
    render(folder / "report.md", "report.md.j2", **values)
    render(folder / "model_card.md", "model_card.md.j2", **values)
    render(folder / "report.html", "report.html.j2", charts=charts, **values)
    return folder / "report.html"


def read_predictions(path: Path, evaluation: Evaluation) -> dict[str, Predictions]:
    """Read the kept predictions of "challenger" and, if it was scored, "champion".

    Raises
    ------
    ConfigError
        The file is missing, damaged or of another evaluation.
    """
    classes = evaluation.classes
    positive = None if evaluation.positive is None else classes.index(evaluation.positive)
    names = ["challenger"] if evaluation.champion_metrics is None else ["challenger", "champion"]
    try:
        table = pd.read_parquet(path)
        truth, labels = table["truth"].to_numpy(), table["label"].to_numpy()
        return {  # the champion's labels are not kept: no chart needs them
            name: Predictions(
                truth,
                table[[f"{name}_{label}" for label in classes]].to_numpy(),
                labels,
                positive,
            )
            for name in names
        }
    except (OSError, KeyError, ValueError):
        text = f"{path} does not belong to evaluation.json."
        raise ConfigError(text, "Run `mlops evaluate`.") from None


def metric_rows(evaluation: Evaluation, gate: Gate) -> list[MetricRow]:
    """Return one row per metric, the gate's first."""
    champion = evaluation.champion_metrics
    rows = [
        MetricRow(
            label=label,
            challenger=evaluation.metrics[name],
            champion=champion[name] if champion else None,
            gain=gain_in(name, evaluation.metrics, champion) if champion else None,
            lower_is_better=name in LOWER_IS_BETTER,
            decides=name == gate.metric,
        )
        for name, label in LABELS.items()
    ]
    return sorted(rows, key=lambda row: not row.decides)


def slice_rows(evaluation: Evaluation, gate: Gate) -> list[SliceRow]:
    """Return one row per slice, with the state of its thresholds."""
    passed: dict[Slice | None, bool] = {}
    for result in evaluation.decision.thresholds:
        passed[result.slice] = passed.get(result.slice, True) and result.passed
    states = {None: "", True: "passed", False: "failed"}
    return [
        SliceRow(
            part.slice,
            part.rows,
            "small"
            if gate.slice_thresholds and part.rows < gate.min_slice_rows
            else states[passed.get(part.slice)],
            part.metrics,
        )
        for part in evaluation.slices
    ]


def class_rows(p: Predictions, classes: Sequence[Label]) -> list[ClassRow]:
    """Return one row per class; none with two classes."""
    if p.positive is not None:
        return []
    return [
        ClassRow(name, int(np.sum(p.truth == label)), measure(replace(p, positive=label)))
        for label, name in enumerate(classes)
    ]


def confusion(p: Predictions, classes: Sequence[Label]) -> Confusion:
    """Count true and predicted classes; beyond twelve, the rarest are merged into the last."""
    codes = np.arange(len(classes))
    names = tuple(map(str, classes))
    if len(classes) > LARGEST_MATRIX:
        last = LARGEST_MATRIX - 1
        counts = np.bincount(p.truth, minlength=len(classes))
        common = np.sort(np.argsort(-counts, kind="stable")[:last])
        codes[:] = last
        codes[common] = np.arange(last)
        names = (*(names[code] for code in common), f"{len(classes) - last} others")
    matrix = confusion_matrix(codes[p.truth], codes[p.labels], labels=range(len(names)))
    return Confusion(names, tuple(map(tuple, matrix.tolist())))


def input_rows(dataset: Dataset) -> list[InputRow]:
    """Return one row per column of the features."""
    return [
        InputRow(str(name), _kind(values), float(values.isna().mean()))
        for name, values in dataset.features.items()
    ]


def balance_rows(dataset: Dataset) -> list[BalanceRow]:
    """Return one row per class."""
    rows = []
    for name in dataset.classes.tolist():
        held = dataset.holdout[dataset.target == name]
        rows.append(BalanceRow(name, int(np.sum(~held)), int(np.sum(held))))
    return rows


def read_notes(file: Path) -> str:
    """Return the model card's part that only people can write, as Markdown."""
    notes = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    return notes or NO_NOTES


def number(value: float | None) -> str:
    """Return four decimals, or a dash for an undefined value."""
    return NO_VALUE if value is None or np.isnan(value) else f"{value:.4f}"


def signed(value: float | None) -> str:
    """Return the sign and four decimals, or a dash for an undefined value."""
    return NO_VALUE if value is None or np.isnan(value) else f"{value:+.4f}"


def plain(value: object, longest: int = LONGEST_NAME) -> str:
    """Return text from the data as one line of Markdown that only shows it.

    Every character with a meaning in Markdown or HTML becomes a character reference, also the
    pipe of a table; ``@`` is separated from what follows, so that nobody is notified.
    """
    line = "".join(c if c.isprintable() else " " for c in str(value)).strip()
    if len(line) > longest:
        line = f"{line[: longest - 1]}…"
    special = r"[^\w\s.,:;=%+()≤≥…'-]|(?<![^\W_])_|_(?![^\W_])|(?<=www)\."
    text = re.sub(special, lambda found: f"&#{ord(found.group())};", line)
    return text.replace("&#64;", "&#64;<!-- -->") or "&#32;"


def _kind(values: pd.Series) -> str:
    if pd.api.types.is_datetime64_any_dtype(values):
        return "date"
    return "number" if pd.api.types.is_numeric_dtype(values) else "text"


def _slice_metrics(gate: Gate) -> list[str]:
    """Return the columns of the slices' table, those that the gate uses first."""
    usual = ("roc_auc", "precision", "recall", "f1", "calibration_error")
    return list(dict.fromkeys([gate.metric, *gate.slice_thresholds, *usual]))


def _read_run(run_id: str, project: Project) -> tuple[Any, dict[str, str]]:
    """Return the run's model and its provenance."""
    import mlflow

    connect(project)
    try:
        model = load_run_model(run_id)
        tags = mlflow.MlflowClient().get_run(run_id).data.tags
        environment = mlflow.artifacts.load_dict(f"runs:/{run_id}/environment.json")
    except (mlflow.MlflowException, OSError) as error:
        raise ConfigError(f"Run {run_id} cannot be read: {error}", "Run `mlops run`.") from error
    versions = [f"{name} {environment[name]}" for name in PACKAGES if name in environment]
    commit = tags.get(GIT_COMMIT) or "none"
    return model, {"Git commit": commit, "Versions": ", ".join(versions)}
