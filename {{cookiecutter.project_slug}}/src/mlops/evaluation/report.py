"""The report of an evaluation: a page for people, Markdown for a pull request, a model card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from mlops.config import LOWER_IS_BETTER, Gate, Project
from mlops.data.dataset import Dataset
from mlops.errors import ConfigError
from mlops.evaluation.charts import SHOWN_IMPORTANCES, confusion, draw_charts
from mlops.evaluation.importance import permutation_importances
from mlops.evaluation.metrics import Predictions
from mlops.model.registry import load_run_model
from mlops.model.tracking import connect
from mlops.outputs import read_json
from mlops.pages import render

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
LONGEST_NAME = 60
NO_VALUE = "\N{EN DASH}"
NO_WORDS = (
    "Nobody has written down yet what this model may be used for, and where it fails. Write it "
    "in docs/model-card.md, and it will stand here."
)


def write_report(
    decision: dict[str, Any], training: dict[str, Any], dataset: Dataset, project: Project
) -> Path:
    """Write report.html, report.md and model_card.md into outputs/report.

    Parameters
    ----------
    decision, training : dict
        The content of decision.json and training.json.
    dataset : Dataset
        The rows that were evaluated.

    Returns
    -------
    Path
        Of report.html.

    Raises
    ------
    ConfigError
        Decision, training, predictions and data do not belong together, or the run is gone.
    """
    if decision["run_id"] != training["run_id"]:
        raise ConfigError("The decision is about an earlier model.", "Run `mlops evaluate`.")
    models = read_predictions(project.outputs / "evaluation" / "predictions.parquet", decision)
    truth = np.searchsorted(dataset.classes, dataset.target[dataset.holdout])
    if not np.array_equal(truth, models["challenger"].truth):
        raise ConfigError("The data is not what was evaluated.", "Run `mlops run`.")
    gate = project.gate
    model, provenance = _read_run(training["run_id"], project)
    importances = permutation_importances(model, dataset, gate.metric, project.split.seed)
    scores = {"challenger": decision["metrics"], "champion": decision["champion_metrics"] or {}}
    classes, gain = decision["classes"], decision["decision"]["gain"]
    slices = slice_rows(decision, gate)
    values: dict[str, Any] = {
        "project": project,
        "decision": decision,
        "training": training,
        "version": _registered(decision["run_id"], project),
        "metrics": metric_rows(decision, gate),
        "checks": check_rows(decision["decision"]["checks"]),
        "slices": slices,
        "slice_metrics": _slice_metrics(gate),
        "per_class": class_rows(models["challenger"], classes),
        "confusion": confusion(models["challenger"], classes),
        "importances": importances[:SHOWN_IMPORTANCES],
        "inputs": input_rows(dataset),
        "balance": balance_rows(dataset),
        "words": read_words(project.root / "docs" / "model-card.md"),
        "provenance": provenance,
        "labels": LABELS,
        "limit": MARKDOWN_ROWS,
        "number": number,
        "signed": signed,
        "plain": plain,
    }
    folder = project.outputs / "report"
    render(folder / "report.md", "report.md.j2", **values)
    render(folder / "model_card.md", "model_card.md.j2", **values)
    charts = draw_charts(models, scores, classes, importances, gain, gate)
    render(folder / "report.html", "report.html.j2", charts=charts, **values)
    return folder / "report.html"


def read_predictions(path: Path, decision: Mapping[str, Any]) -> dict[str, Predictions]:
    """The predictions that `evaluate` kept: of "challenger" and, if it was scored, "champion".

    Raises
    ------
    ConfigError
        The file is missing, damaged or of another evaluation.
    """
    classes = decision["classes"]
    positive = None if decision["positive"] is None else classes.index(decision["positive"])
    found: dict[str, Predictions] = {}
    try:
        table = pd.read_parquet(path)
        for name in ("challenger", "champion"):
            if name == "champion" and decision["champion_metrics"] is None:
                continue
            probabilities = table[[f"{name}_{label}" for label in classes]].to_numpy()
            # Only the challenger's classes are kept; the champion's are not looked at.
            labels = table["label"].to_numpy()
            found[name] = Predictions(table["truth"].to_numpy(), probabilities, labels, positive)
    except (OSError, KeyError, ValueError):
        raise ConfigError(f"{path} does not fit decision.json.", "Run `mlops evaluate`.") from None
    return found


def metric_rows(decision: Mapping[str, Any], gate: Gate) -> list[dict[str, Any]]:
    """One row for each metric; ``gain`` is positive where the challenger is better."""
    champion = decision["champion_metrics"] or {}
    rows = []
    for name in [*LABELS, *(set(decision["metrics"]) - set(LABELS))]:
        ours, theirs = decision["metrics"].get(name), champion.get(name)
        sign = -1 if name in LOWER_IS_BETTER else 1
        rows.append(
            {
                "label": LABELS.get(name, name),
                "challenger": ours,
                "champion": theirs,
                "gain": None if ours is None or theirs is None else sign * (ours - theirs),
                "lower": name in LOWER_IS_BETTER,
                "gate": name == gate.metric,
            }
        )
    return sorted(rows, key=lambda row: not row["gate"])


def check_rows(checks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The gate's thresholds, the broken ones first; ``part`` is "" for all rows."""
    rows = []
    for check in checks:
        part, _, metric = check["name"].rpartition(" ")
        sign = "≤" if metric in LOWER_IS_BETTER else "≥"
        rows.append({**check, "part": part, "label": LABELS.get(metric, metric), "sign": sign})
    return sorted(rows, key=lambda row: bool(row["passed"]))


def slice_rows(decision: Mapping[str, Any], gate: Gate) -> list[dict[str, Any]]:
    """The slices with ``state``: held, broken, small (not judged), or "" without a threshold."""
    checks = {check["name"]: check["passed"] for check in decision["decision"]["checks"]}
    rows = []
    for part in decision["slices"]:
        names = [f"{part['column']}={part['value']} {metric}" for metric in gate.slice_thresholds]
        judged = [checks[name] for name in names if name in checks]
        state = "" if not judged else "held" if all(judged) else "broken"
        if gate.slice_thresholds and part["rows"] < gate.min_slice_rows:
            state = "small"
        share = part["rows"] / max(decision["rows"], 1)
        rows.append({**part, "share": share, "state": state})
    return rows


def class_rows(p: Predictions, classes: Sequence[Any]) -> list[dict[str, Any]]:
    """Each class against the rest, from the challenger's predictions; with two classes none."""
    if p.positive is not None:
        return []
    labels = range(len(classes))
    single = precision_recall_fscore_support(p.truth, p.labels, labels=labels, zero_division=np.nan)
    return [
        {
            "name": classes[label],
            "rows": int(single[3][label]),
            "precision": float(single[0][label]),
            "recall": float(single[1][label]),
            "f1": float(single[2][label]),
            "average_precision": float(
                average_precision_score(p.truth == label, p.probabilities[:, label])
            ),
            "roc_auc": float(roc_auc_score(p.truth == label, p.probabilities[:, label])),
        }
        for label in labels
    ]


def input_rows(dataset: Dataset) -> list[dict[str, Any]]:
    """The columns that the model was given, with their kind and their share of missing values."""
    return [
        {
            "name": name,
            "kind": _kind(values),
            "missing": float(values.isna().mean()),
        }
        for name, values in dataset.features.items()
    ]


def balance_rows(dataset: Dataset) -> list[dict[str, Any]]:
    """How many rows of each class there are to learn from and to be judged on."""
    rows: list[dict[str, Any]] = [{"name": name} for name in dataset.classes.tolist()]
    for side, chosen in (("training", ~dataset.holdout), ("holdout", dataset.holdout)):
        counts = _counts(dataset.target[chosen], dataset.classes)
        for row, count in zip(rows, counts, strict=True):
            row[side], row[f"{side}_share"] = int(count), float(count / counts.sum())
    return rows


def read_words(file: Path) -> str:
    """What only a person can know of the model, as Markdown; says so where nobody has said it."""
    words = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    return words or NO_WORDS


def number(value: float | None) -> str:
    """Four decimals; a dash where there is no value."""
    return NO_VALUE if value is None or np.isnan(value) else f"{value:.4f}"


def signed(value: float | None) -> str:
    """Four decimals and the sign; a dash where there is no value."""
    return NO_VALUE if value is None or np.isnan(value) else f"{value:+.4f}"


def plain(value: object, longest: int = LONGEST_NAME) -> str:
    """Text from the data as one line of Markdown that shows it, and does nothing else.

    Every character that could mean something in Markdown or HTML becomes a character reference,
    also the pipe of a table; ``@`` is cut off from what follows, so that nobody is notified.
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


def _counts(target: NDArray[np.generic], classes: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(classes, target), minlength=len(classes))


def _slice_metrics(gate: Gate) -> list[str]:
    """The columns of the slices' table: what the gate looks at first."""
    usual = ("roc_auc", "precision", "recall", "f1", "calibration_error")
    return list(dict.fromkeys([gate.metric, *gate.slice_thresholds, *usual]))


def _read_run(run_id: str, project: Project) -> tuple[Any, dict[str, str]]:
    """The run's model, and what it says of its origin."""
    import mlflow

    connect(project)
    try:
        model = load_run_model(run_id)
        tags = mlflow.MlflowClient().get_run(run_id).data.tags
        environment = mlflow.artifacts.load_dict(f"runs:/{run_id}/environment.json")
    except (mlflow.MlflowException, OSError) as error:
        raise ConfigError(f"Run {run_id} cannot be read: {error}", "Run `mlops run`.") from error
    versions = [f"{name} {environment[name]}" for name in PACKAGES if name in environment]
    commit = tags.get("mlops.git_commit") or "none"
    return model, {"Git commit": commit, "Versions": ", ".join(versions)}


def _registered(run_id: str, project: Project) -> int | None:
    """The version as which the run is registered, if it is."""
    file = project.outputs / "registration" / "registration.json"
    if not file.is_file():
        return None
    content = read_json(file, "register")
    return int(content["version"]) if content["run_id"] == run_id else None
