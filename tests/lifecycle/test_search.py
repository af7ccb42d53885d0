"""A search: each candidate by itself, as on Azure ML's nodes, the best one trained, and every metric."""

from __future__ import annotations

from typing import Any, get_args

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import Toy, make_toy
from mlops.config import LOWER_IS_BETTER, Gate, GateMetric, Project, Search, load_project
from mlops.data.dataset import Dataset, read_rows, split_rows
from mlops.data.identity import identify
from mlops.evaluation.metrics import measure
from mlops.evaluation.rival import predict
from mlops.model.search import METRIC, candidates, found_params, halving_search, try_candidate
from mlops.model.training import make_pipeline, training_key
from mlops.science import find_science
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

SEARCH = {"space": {"C": [1e-4, 1.0], "class_weight": [None, "balanced"]}, "candidates": 3}


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A project with validated data and a search."""
    made = make_toy(tmp_path_factory.mktemp("search"))
    made.set(
        model={"estimator": "logistic_regression", "params": {}, "search": SEARCH},
        gate={"metric": "log_loss"},
    )
    made.mlops("validate")
    return made


def score(toy: Toy, number: int) -> dict[str, Any]:
    toy.mlops("search", "--candidate", str(number))
    return toy.output("search/candidate.json")


def test_candidates_differ_and_are_the_same_on_every_machine(searching: Toy) -> None:
    project = load_project(searching.root)
    found = candidates(project)
    assert found == candidates(load_project(searching.root))
    assert len({tuple(sorted(params.items(), key=str)) for params in found}) == len(found) == 3
    assert all(params["C"] in SEARCH["space"]["C"] for params in found)


def test_the_best_candidate_is_trained_without_another_search(searching: Toy) -> None:
    found = [score(searching, number) for number in range(3)]
    assert [one["params"] for one in found] == candidates(load_project(searching.root))
    best = max(found, key=lambda one: one["score"])
    assert best["params"]["C"] == 1.0
    score(searching, best["number"])
    said = searching.mlops("train").output
    assert "HalvingRandomSearchCV" not in said
    assert best["params"].items() <= searching.output("training/training.json")["params"].items()


def test_the_score_is_that_of_the_training_folds_and_is_logged(searching: Toy) -> None:
    project = load_project(searching.root)
    science = find_science(project)
    dataset = split_rows(read_rows(project.data_path, science.load), project)
    found = score(searching, 1)
    pipeline = make_pipeline(dataset, project, science)
    pipeline.set_params(**{f"model__{name}": value for name, value in found["params"].items()})
    rows = ~dataset.holdout
    folds = StratifiedKFold(3, shuffle=True, random_state=project.split.seed)
    own = cross_val_score(pipeline, dataset.features[rows], dataset.target[rows], cv=folds, scoring="neg_log_loss")
    assert found["score"] == pytest.approx(float(np.mean(own)), abs=1e-12)
    runs = mlflow.search_runs(experiment_names=["toy"], output_format="list")
    logged = [run for run in runs if run.data.params.get("candidate") == "1"]
    assert logged[0].data.metrics[METRIC] == found["score"]
    assert logged[0].data.params["C"] == str(found["params"]["C"])


def test_a_candidate_of_other_settings_is_not_used(searching: Toy) -> None:
    found = score(searching, 0)
    folder = searching.root / "outputs" / "search"
    project = load_project(searching.root)
    digest = searching.output("validation/validation.json")["data_digest"]
    assert found_params(folder, training_key(project, digest)) == found["params"]
    searching.set(split={"seed": 4})
    other = training_key(load_project(searching.root), digest)
    searching.set(split={"seed": 3})
    assert found_params(folder, other) is None
    assert found_params(folder, training_key(project, "other data")) is None
    assert found_params(folder.parent, found["key"]) is None


def test_a_candidate_that_does_not_exist_is_explained(searching: Toy) -> None:
    said = searching.mlops("search", "--candidate", "3", code=2).output
    assert "Candidate 3 does not exist: they are 0 to 2." in said


def test_a_candidate_that_does_not_fit_the_classifier_is_explained(searching: Toy) -> None:
    searching.set(model={"search": {"space": {"penalti": [1, 2]}}})
    said = searching.mlops("search", "--candidate", "0", code=2).output
    searching.set(model={"search": SEARCH})
    assert "Candidate 0, {'penalti': " in said
    assert "Traceback" not in said


def test_a_project_without_a_search_has_no_candidates(searching: Toy) -> None:
    searching.set(model={"search": None})
    said = searching.mlops("search", "--candidate", "0", code=2).output
    searching.set(model={"search": SEARCH})
    assert "project.yml has no model.search." in said


CLASSES: dict[str, tuple[list[Any], Any]] = {
    "two texts, the first positive": (["bad", "good"], "bad"),
    "two texts, the second positive": (["bad", "good"], "good"),
    "two numbers": ([0, 1], 1),
    "two numbers, zero positive": ([0, 1], 0),
    "three texts": (["high", "low", "middle"], None),
    "four numbers": ([1, 2, 3, 4], None),
}


def rows_of(classes: list[Any], positive: Any) -> Dataset:
    """Return rows with these classes, which one column nearly gives away."""
    rng = np.random.default_rng(5)
    number = rng.integers(len(classes), size=600)
    near = number + rng.normal(scale=0.5, size=600)
    holdout = np.zeros(600, dtype=bool)
    rows, names = pd.DataFrame({"near": near}), np.array(classes)
    return Dataset(rows, names[number], names, positive, holdout, None, "", rows, identify(rows, []))


def configured(project: Project, metric: str, space: dict[str, list[Any]]) -> Project:
    search = Search(space=space, candidates=2)
    model = project.model.model_copy(update={"search": search})
    return project.model_copy(update={"model": model, "gate": Gate(metric=metric)})


@pytest.mark.parametrize("metric", get_args(GateMetric))
@pytest.mark.parametrize("kind", CLASSES)
def test_a_search_scores_by_the_gates_own_metric(searching: Toy, kind: str, metric: str) -> None:
    dataset = rows_of(*CLASSES[kind])
    project = configured(load_project(searching.root), metric, {"min_samples_leaf": [30, 250]})
    pipeline = Pipeline([("model", DecisionTreeClassifier(max_depth=2, random_state=0))])
    found = [try_candidate(number, pipeline, dataset, project, "key") for number in (0, 1)]
    for candidate in found:
        pipeline.set_params(model__min_samples_leaf=candidate.params["min_samples_leaf"])
        own = []
        for fold, rest in StratifiedKFold(3, shuffle=True, random_state=3).split(dataset.features, dataset.target):
            fitted = pipeline.fit(dataset.features.iloc[fold], dataset.target[fold])
            own.append(measure(predict(fitted, dataset, np.isin(np.arange(600), rest)))[metric])
        sign = -1 if metric in LOWER_IS_BETTER else 1
        assert candidate.score == pytest.approx(sign * np.mean(own), abs=1e-9)
    assert max(found, key=lambda candidate: candidate.score).params == {"min_samples_leaf": 30}
    assert halving_search(pipeline, dataset, project) == {"min_samples_leaf": 30}


@pytest.mark.parametrize("metric", get_args(GateMetric))
def test_a_search_fails_if_a_candidate_cannot_be_fitted(searching: Toy, metric: str) -> None:
    dataset = rows_of(["bad", "good"], "bad")
    project = configured(load_project(searching.root), metric, {"min_samples_leaf": [-1, 4]})
    pipeline = Pipeline([("model", DecisionTreeClassifier())])
    with pytest.raises(ValueError, match="'min_samples_leaf' parameter"):
        halving_search(pipeline, dataset, project)
