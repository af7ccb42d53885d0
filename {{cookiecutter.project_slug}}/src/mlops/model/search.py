"""The search for parameters: by halving on this machine, or one candidate a job on Azure ML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from mlops.config import Project, Search
from mlops.data.dataset import Dataset
from mlops.errors import ConfigError
from mlops.model.tracking import connect
from mlops.outputs import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FOLDS = 3
METRIC = "score"  # what azureml/search-pipeline.yml maximizes


def halving_search(
    pipeline: Pipeline,
    X: pd.DataFrame,
    y: NDArray[np.generic],
    groups: NDArray[np.generic] | None,
    dataset: Dataset,
    project: Project,
) -> dict[str, Any]:
    """The parameters that survive successive halving over ``model.search.space``.

    Parameters
    ----------
    pipeline : Pipeline
        Unfitted; its last step is called ``model``.
    X : DataFrame of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
    """
    from sklearn.callback import ProgressBar
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    search = _wanted(project)
    halving = HalvingRandomSearchCV(
        pipeline,
        _prefixed(search.space),
        n_candidates=search.combinations,
        min_resources="exhaust",
        scoring=_scoring(dataset, project),
        cv=folds(groups, project.split.seed),
        random_state=project.split.seed,
        refit=False,
        n_jobs=-1,
    )
    halving.set_callbacks(ProgressBar(max_propagation_depth=0))
    halving.fit(X, y, groups=groups)
    return {name.removeprefix("model__"): v for name, v in halving.best_params_.items()}


def candidates(project: Project) -> list[dict[str, Any]]:
    """The combinations to try, the same and in the same order wherever they are asked for."""
    from sklearn.model_selection import ParameterSampler

    search = _wanted(project)
    sampler = ParameterSampler(search.space, search.combinations, random_state=project.split.seed)
    return [dict(params) for params in sampler]


def try_candidate(
    number: int,
    pipeline: Pipeline,
    dataset: Dataset,
    project: Project,
    key: str,
    folder: Path,
    tell: Callable[[str], None],
) -> float:
    """Score one candidate on the training folds, log its score, and note it in candidate.json.

    Parameters
    ----------
    key : str
        The training key of data, settings and code: only a training of the same key takes the
        candidate's parameters over.

    Raises
    ------
    ConfigError
        There is no such candidate, or it does not fit the classifier.
    """
    import mlflow
    from sklearn.model_selection import cross_val_score

    known = candidates(project)
    if not 0 <= number < len(known):
        raise ConfigError(f"There is no candidate {number}: there are {len(known)}, from 0 on.")
    params = known[number]
    rows = ~dataset.holdout
    groups = None if dataset.groups is None else dataset.groups[rows]
    try:
        pipeline.set_params(**_prefixed(params))
        scores = cross_val_score(
            pipeline,
            dataset.features[rows],
            dataset.target[rows],
            groups=groups,
            cv=folds(groups, project.split.seed),
            scoring=_scoring(dataset, project),
            error_score="raise",
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"Candidate {number}, {params}, cannot be fitted: {error}") from error
    score = float(np.mean(scores))
    connect(project)
    with mlflow.start_run():
        mlflow.log_params({"candidate": number, **params})
        mlflow.log_metric(METRIC, score)
    write_json(
        folder / "candidate.json",
        {"candidate": number, "params": params, METRIC: score, "key": key},
    )
    tell(f"Candidate {number}: {params} scores {score:.4f} in {project.gate.metric}.")
    return score


def found_params(folder: Path, key: str) -> dict[str, Any] | None:
    """The parameters of the best candidate of an earlier search, if it had the same key."""
    file = folder / "candidate.json"
    if not file.is_file():
        return None
    content = read_json(file, "search")
    return dict(content["params"]) if content["key"] == key else None


def folds(groups: NDArray[np.generic] | None, seed: int) -> Any:
    """The training folds: stratified, seeded, and with the rows of a group on one side."""
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    return kind(FOLDS, shuffle=True, random_state=seed)


def _scoring(dataset: Dataset, project: Project) -> Any:
    """The gate's metric as scikit-learn's scorer: more is better."""
    from sklearn.metrics import average_precision_score, make_scorer

    binary = dataset.positive is not None
    scorers: dict[str, Any] = {
        "average_precision": make_scorer(
            average_precision_score,
            response_method="predict_proba",
            **({"pos_label": dataset.positive} if binary else {}),
        ),
        "roc_auc": "roc_auc" if binary else "roc_auc_ovr",
        "log_loss": "neg_log_loss",
        "brier": "neg_brier_score" if binary else "neg_log_loss",
    }
    return scorers[project.gate.metric]


def _wanted(project: Project) -> Search:
    if project.model.search is None:
        raise ConfigError("project.yml has no model.search.")
    return project.model.search


def _prefixed(params: Mapping[str, Any]) -> dict[str, Any]:
    return {f"model__{name}": value for name, value in params.items()}
