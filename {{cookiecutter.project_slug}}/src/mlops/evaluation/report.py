"""Write the report of an evaluation: a page, Markdown for a pull request, and a model card."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.metrics import confusion_matrix

from mlops.config import LOWER_IS_BETTER, Gate, Project
from mlops.data.dataset import Dataset
from mlops.errors import ConfigError
from mlops.evaluation.charts import draw_charts
from mlops.evaluation.evaluate import ROW
from mlops.evaluation.metrics import Predictions, gain_in, measure
from mlops.model.registry import load_run_model
from mlops.model.search import make_scorer
from mlops.model.tags import GIT_COMMIT
from mlops.model.tracking import connect
from mlops.outputs import render
from mlops.results import Evaluation, Label, Registration, Slice, SliceMetrics, Training

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
SHOWN_SHIFTS = 10
IMPORTANCE_ROWS = 2000
LARGEST_MATRIX = 12
LONGEST_NAME = 60


def write_report(
    evaluation: Evaluation,
    training: Training,
    registration: Registration | None,
    dataset: Dataset,
    project: Project,
) -> Path:
    """Write report.html, report.md and model_card.md into outputs/report; return the page's path.

    Raises
    ------
    ConfigError
        The kept predictions are missing or of other rows, or MLflow has lost the run.
    """
    gate = project.gate
    kept = project.outputs / "evaluation" / "predictions.parquet"
    models, rows = read_predictions(kept, evaluation)
    judged = dataset.holdout & pd.Index(dataset.keys.keys).isin(rows)
    truth = np.searchsorted(dataset.classes, dataset.target[judged])
    if not np.array_equal(truth, models["challenger"].truth):
        raise ConfigError("The evaluation is of other rows.", "Run `mlops run`.")
    model, provenance = _read_run(training, project)
    notes = project.root / "docs" / "model-card.md"
    values: dict[str, Any] = {
        "project": project,
        "evaluation": evaluation,
        "training": training,
        "version": registration.version if registration else None,
        "dataset": dataset,
        "balance": list(pd.crosstab(dataset.target, dataset.holdout).itertuples()),
        "importances": permutation_importances(model, dataset, project)[:SHOWN_IMPORTANCES],
        "shifts": evaluation.shifts[:SHOWN_SHIFTS],
        "notes": notes.read_text(encoding="utf-8").strip() if notes.is_file() else "",
        "provenance": provenance,
        **_tables(evaluation, models["challenger"], gate),
        "limit": MARKDOWN_ROWS,
        "number": number,
        "plain": plain,
        "kind": kind,
    }
    scores = {"challenger": evaluation.metrics, "champion": evaluation.champion_metrics or {}}
    charts = draw_charts(models, scores, evaluation.classes, evaluation.decision.gain, gate)
    folder = project.outputs / "report"
    render(folder / "report.md", "report.md.j2", **values)
    render(folder / "model_card.md", "model_card.md.j2", **values)
    render(folder / "report.html", "report.html.j2", charts=charts, **values)
    return folder / "report.html"


def _tables(evaluation: Evaluation, challenger: Predictions, gate: Gate) -> dict[str, Any]:
    """Return what the templates show of the metrics; the gate's own come first."""
    ours, theirs = evaluation.metrics, evaluation.champion_metrics
    usual = ("roc_auc", "precision", "recall", "f1", "calibration_error")
    return {
        "labels": {name: LABELS[name] for name in sorted(LABELS, key=lambda n: n != gate.metric)},
        "gains": {name: gain_in(name, ours, theirs) for name in LABELS} if theirs else {},
        "lower_is_better": LOWER_IS_BETTER,
        "thresholds": sorted(evaluation.decision.thresholds, key=lambda result: result.passed),
        "slices": _slices(evaluation, gate),
        "slice_metrics": list(dict.fromkeys([gate.metric, *gate.slice_thresholds, *usual])),
        "per_class": measure_classes(challenger, evaluation.classes),
        "confusion": confusion(challenger, evaluation.classes),
    }


def _slices(evaluation: Evaluation, gate: Gate) -> list[tuple[SliceMetrics, str]]:
    """Pair each slice with its state: passed, failed, too few rows, or "" without thresholds."""
    results = evaluation.decision.thresholds
    judged = {result.slice for result in results}
    failed = {result.slice for result in results if not result.passed}

    def state(part: SliceMetrics) -> str:
        if gate.slice_thresholds and part.rows < gate.min_slice_rows:
            return "too few rows"
        if part.slice not in judged:
            return ""
        return "failed" if part.slice in failed else "passed"

    return [(part, state(part)) for part in evaluation.slices]


def read_predictions(
    path: Path, evaluation: Evaluation
) -> tuple[dict[str, Predictions], NDArray[np.uint64]]:
    """Read the kept predictions of "challenger" and "champion" (if scored), and the rows' keys.

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
        truth, labels, rows = (table[name].to_numpy() for name in ("truth", "label", ROW))
        shares = {n: table[[f"{n}_{label}" for label in classes]].to_numpy() for n in names}
    except (OSError, KeyError, ValueError):
        text = f"{path} does not belong to evaluation.json."
        raise ConfigError(text, "Run `mlops evaluate`.") from None
    # The champion's labels are not kept: no chart needs them.
    return {n: Predictions(truth, shares[n], labels, positive) for n in names}, rows


def permutation_importances(
    model: Any, dataset: Dataset, project: Project
) -> list[tuple[str, float, float]]:
    """Shuffle each column of a sample of the holdout and measure again (Breiman 2001).

    Returns
    -------
    list of (column, mean, spread)
        How much worse the gate's metric gets, the most important column first.
    """
    seed = project.split.seed
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(dataset.holdout))
    rows = rows[np.argsort(dataset.target[rows], kind="stable")]
    # Evenly along the sorted classes, so that each has its share, and at least one row of each.
    chosen = np.linspace(0, len(rows) - 1, min(IMPORTANCE_ROWS, len(rows))).round().astype(int)
    firsts = np.unique(dataset.target[rows], return_index=True)[1]
    rows = np.sort(rows[np.union1d(chosen, firsts)])
    X, y = dataset.features.iloc[rows], dataset.target[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evaluation has shown them already
        found = permutation_importance(
            model, X, y, scoring=make_scorer(dataset, project), n_repeats=5, random_state=seed
        )
    columns = zip(map(str, X), found.importances_mean, found.importances_std, strict=True)
    return sorted(columns, key=lambda column: -column[1])


def measure_classes(p: Predictions, classes: Sequence[Label]) -> list[SliceMetrics]:
    """Measure each class against the rest; with two classes there is nothing to add."""
    if p.positive is not None:
        return []
    return [
        SliceMetrics(
            slice=Slice(column="class", value=str(name)),
            rows=int(np.sum(p.truth == label)),
            metrics=measure(replace(p, positive=label)),
        )
        for label, name in enumerate(classes)
    ]


def confusion(p: Predictions, classes: Sequence[Label]) -> pd.DataFrame:
    """Count true (rows) and predicted classes; beyond twelve, the rarest are merged."""
    codes = np.arange(len(classes))
    names = list(map(str, classes))
    if len(classes) > LARGEST_MATRIX:
        last = LARGEST_MATRIX - 1
        counts = np.bincount(p.truth, minlength=len(classes))
        common = np.sort(np.argsort(-counts, kind="stable")[:last])
        codes[:] = last
        codes[common] = np.arange(last)
        names = [*(names[code] for code in common), f"{len(classes) - last} others"]
    matrix = confusion_matrix(codes[p.truth], codes[p.labels], labels=range(len(names)))
    return pd.DataFrame(matrix, index=names, columns=names)


def number(value: float | None, sign: str = "") -> str:
    """Return four decimals, or a dash for an undefined value; ``sign`` "+" shows it always."""
    return "–" if value is None or math.isnan(value) else f"{value:{sign}.4f}"  # noqa: RUF001


def plain(value: object, longest: int = LONGEST_NAME) -> str:
    """Return text from the data as one line of Markdown that only shows it.

    Every character with a meaning in Markdown or HTML becomes a character reference, also the
    pipe of a table; ``@`` is separated from what follows, so that nobody is notified.
    """
    line = "".join(c if c.isprintable() else " " for c in str(value)).strip()
    if len(line) > longest:
        line = f"{line[: longest - 1]}…"
    special = r"[^\w\s.,:;=%+()≤≥…→'-]|(?<![^\W_])_|_(?![^\W_])|(?<=www)\."
    text = re.sub(special, lambda found: f"&#{ord(found.group())};", line)
    return text.replace("&#64;", "&#64;<!-- -->") or "&#32;"


def kind(values: pd.Series) -> str:
    """Return the kind of a column's values: date, number or text."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return "date"
    return "number" if pd.api.types.is_numeric_dtype(values) else "text"


def _read_run(training: Training, project: Project) -> tuple[Any, dict[str, str]]:
    """Return the run's model and its provenance."""
    import mlflow

    connect(project)
    run_id = training.run_id
    model = load_run_model(project, run_id, training.model_digest).model
    try:
        tags = mlflow.MlflowClient().get_run(run_id).data.tags
        environment = mlflow.artifacts.load_dict(f"runs:/{run_id}/environment.json")
    except (mlflow.MlflowException, OSError) as error:
        raise ConfigError(f"Run {run_id} cannot be read: {error}", "Run `mlops run`.") from error
    versions = [f"{name} {environment[name]}" for name in PACKAGES if name in environment]
    commit = tags.get(GIT_COMMIT) or "none"
    return model, {"Git commit": commit, "Versions": ", ".join(versions)}
