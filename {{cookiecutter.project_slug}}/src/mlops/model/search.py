"""Search for parameters: by halving on this machine, or one candidate per job on Azure ML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from mlops.config import LOWER_IS_BETTER, Project, Search
from mlops.data.dataset import Dataset
from mlops.errors import ConfigError
from mlops.model.tracking import connect
from mlops.results import Candidate, read_result

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 3
METRIC = "score"  # what azureml/search-pipeline.yml maximizes


def halving_search(pipeline: Pipeline, dataset: Dataset, project: Project) -> dict[str, Any]:
    """Return the best parameters of a successive halving over ``model.search.space``."""
    from sklearn.callback import ProgressBar
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    search = _configured(project)
    X, y, groups = dataset.training_rows()
    halving = HalvingRandomSearchCV(
        pipeline,
        _prefixed(search.space),
        n_candidates=search.combinations,
        min_resources="exhaust",
        scoring=make_scorer(dataset, project),
        cv=folds(groups, project.split.seed),
        random_state=project.split.seed,
        error_score="raise",  # NaN would rank a candidate that failed like any other
        refit=False,
        n_jobs=-1,
    )
    halving.set_callbacks(ProgressBar(max_propagation_depth=0))
    halving.fit(X, y, groups=groups)
    return {name.removeprefix("model__"): v for name, v in halving.best_params_.items()}


def candidates(project: Project) -> list[dict[str, Any]]:
    """Return the combinations to try, in the same order on every machine."""
    from sklearn.model_selection import ParameterSampler

    search = _configured(project)
    sampler = ParameterSampler(search.space, search.combinations, random_state=project.split.seed)
    return [dict(params) for params in sampler]


def try_candidate(
    number: int,
    pipeline: Pipeline,
    dataset: Dataset,
    project: Project,
    key: str,
) -> Candidate:
    """Score one candidate on the training folds, and log the score.

    Parameters
    ----------
    key : str
        Only a training with this key uses the candidate's parameters.

    Raises
    ------
    ConfigError
        There is no such candidate, or it does not fit the classifier.
    """
    import mlflow
    from sklearn.model_selection import cross_val_score

    known = candidates(project)
    if not 0 <= number < len(known):
        raise ConfigError(f"Candidate {number} does not exist: they are 0 to {len(known) - 1}.")
    params = known[number]
    X, y, groups = dataset.training_rows()
    try:
        pipeline.set_params(**_prefixed(params))
        scores = cross_val_score(
            pipeline,
            X,
            y,
            groups=groups,
            cv=folds(groups, project.split.seed),
            scoring=make_scorer(dataset, project),
            error_score="raise",
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"Candidate {number}, {params}, cannot be fitted: {error}") from error
    score = float(np.mean(scores))
    connect(project)
    with mlflow.start_run():
        mlflow.log_params({"candidate": number, **params})
        mlflow.log_metric(METRIC, score)
    return Candidate(number=number, params=params, score=score, key=key)


def found_params(folder: Path, key: str) -> dict[str, Any] | None:
    """Return the parameters of the best candidate of a search with this training key, if any."""
    if not (folder / Candidate.file).is_file():
        return None
    candidate = read_result(folder, Candidate)
    return dict(candidate.params) if candidate.key == key else None


def folds(groups: NDArray[np.generic] | None, seed: int) -> Any:
    """Return seeded, stratified folds that keep the rows of a group together."""
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    return kind(FOLDS, shuffle=True, random_state=seed)


def make_scorer(dataset: Dataset, project: Project) -> Any:
    """Return the gate's metric as a scikit-learn scorer; greater is better."""
    from sklearn import metrics as sk

    binary = dataset.positive is not None
    pos_label = {"pos_label": dataset.positive} if binary else {}
    labels = {"labels": dataset.classes.tolist()}
    score, options = {
        "average_precision": (sk.average_precision_score, pos_label),
        "roc_auc": (sk.roc_auc_score, {} if binary else {"multi_class": "ovr", **labels}),
        "log_loss": (sk.log_loss, labels),
        "brier": (sk.brier_score_loss, {**labels, **pos_label}),
    }[project.gate.metric]
    greater = project.gate.metric not in LOWER_IS_BETTER
    return sk.make_scorer(
        score, response_method="predict_proba", greater_is_better=greater, **options
    )


def _configured(project: Project) -> Search:
    if project.model.search is None:
        raise ConfigError("project.yml has no model.search.")
    return project.model.search


def _prefixed(params: Mapping[str, Any]) -> dict[str, Any]:
    return {f"model__{name}": value for name, value in params.items()}
