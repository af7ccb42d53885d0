"""Find what the challenger is compared with, on rows that neither model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from mlops.config import Project
from mlops.data.dataset import Dataset
from mlops.data.identity import seen_rows
from mlops.evaluation.metrics import Predictions
from mlops.model import tags
from mlops.model.estimators import predicted_classes
from mlops.model.record import trained_rows
from mlops.model.registry import Version, load_run_model
from mlops.results import Comparison, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.base import ClassifierMixin

# Of the holdout: with fewer rows left, the comparison would miss what it should notice.
ENOUGH = 0.5


@dataclass(frozen=True)
class Rival:
    """The champion's predictions for the rows that both models are judged by."""

    predictions: Predictions  # of its pipeline, if that was refitted
    registered: Predictions  # of the registered model itself
    judged: NDArray[np.bool_]  # which rows of the data
    comparison: Comparison


def find_rival(
    champion: Version | None, dataset: Dataset, project: Project, replace: str
) -> Rival | Reason:
    """Return the champion's predictions for unseen rows, or why it cannot be compared with.

    Where it cannot be told which rows the champion was trained on, or too few others are left, its
    pipeline is cloned and fitted on the challenger's training rows.
    """
    if champion is None:
        text = "There is no champion yet: the thresholds alone decide."
        return Reason(code="first_model", text=text)
    who = f"The champion, version {champion.number},"
    if replace:
        text = f"{who} is replaced without a comparison: {replace}"
        return Reason(code="champion_replaced", text=text)
    advice = "replace it: mlops evaluate --replace-champion REASON"
    try:
        registered_digest = champion.tags.get(tags.MODEL_DIGEST, "")
        loaded = load_run_model(project, champion.run_id, registered_digest)
    except Exception as error:  # whatever is wrong, a champion that cannot be scored is not beaten
        text = f"{who} cannot be loaded ({type(error).__name__}: {error})."
        return Reason(code="champion_unavailable", text=f"{text} Restore its files, or {advice}")
    model, columns = loaded.model, loaded.signature.inputs.input_names()
    missing = sorted(set(columns) - set(dataset.features))
    if missing:
        text = f"{who} needs columns that the data does not have: {', '.join(missing)}."
        return Reason(code="schema_changed", text=f"{text} Restore them, or {advice}")
    try:
        judged, comparison = choose_rows(champion.run_id, dataset)
        registered = predict(model, dataset, judged, columns)
        if comparison.how == "registered":
            return Rival(registered, registered, judged, comparison)
        X, y, _ = dataset.training_rows()
        refitted = clone(model).fit(X[columns], y)
        return Rival(predict(refitted, dataset, judged, columns), registered, judged, comparison)
    except Exception as error:  # of any class: the model's own code runs here
        text = f"{who} does not fit the data ({type(error).__name__}: {error})."
        return Reason(code="schema_changed", text=f"{text} Restore the data, or {advice}")


def choose_rows(run_id: str, dataset: Dataset) -> tuple[NDArray[np.bool_], Comparison]:
    """Return the rows to judge a run's model by, and whether it has to be refitted for that."""
    trained = trained_rows(run_id)
    if trained is None:
        why = "it was registered without a record of its training rows"
        return dataset.holdout, Comparison(how="refitted", why=why)
    seen = seen_rows(trained, dataset.rows, dataset.keys)
    if isinstance(seen, str):
        if trained.kind == "content" and (unique := _unique_column(dataset.rows)):
            seen += f" (if {unique} identifies a row, set data.id: {unique})"
        return dataset.holdout, Comparison(how="refitted", why=seen)
    judged = dataset.holdout & ~seen
    classes = set(dataset.target[judged].tolist())
    held_out, left = int(dataset.holdout.sum()), int(judged.sum())
    if left < ENOUGH * held_out or classes != set(dataset.classes.tolist()):
        why = f"it was trained on {held_out - left:,} of the {held_out:,} holdout rows"
        return dataset.holdout, Comparison(how="refitted", why=why)
    return judged, Comparison(how="registered", seen=held_out - left)


def predict(
    model: ClassifierMixin, dataset: Dataset, judged: NDArray[np.bool_], columns: Any = None
) -> Predictions:
    """Return a model's predictions for some rows, from all columns or some.

    Raises
    ------
    ValueError
        The model does not know the data's classes or columns.
    """
    features = dataset.features.loc[judged, slice(None) if columns is None else columns]
    known = list(model.classes_)
    if sorted(map(str, known)) != sorted(map(str, dataset.classes)):
        raise ValueError(f"it predicts {known}, the data has {dataset.classes.tolist()}")
    order = [known.index(label) for label in dataset.classes]
    probabilities = model.predict_proba(features)
    labels = np.argsort(order)[predicted_classes(model, probabilities)]
    truth = np.searchsorted(dataset.classes, dataset.target[judged])
    classes = dataset.classes.tolist()
    positive = None if dataset.positive is None else classes.index(dataset.positive)
    return Predictions(truth, probabilities[:, order], labels, positive)


def _unique_column(rows: pd.DataFrame) -> str | None:
    """Return a column of whole numbers or text that differs in every row, if there is one."""
    for name, values in rows.items():
        if not pd.api.types.is_float_dtype(values) and values.notna().all() and values.is_unique:
            return str(name)
    return None
