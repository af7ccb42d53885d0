"""A search in parts: each candidate by itself, as Azure ML's nodes do, and the best one trained."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pytest
from conftest import Toy, make_toy
from mlops.config import load_project
from mlops.data.dataset import read_rows, split_rows
from mlops.model.search import METRIC, candidates, found_params
from mlops.model.training import make_pipeline, training_key
from mlops.science import find_science
from sklearn.model_selection import StratifiedKFold, cross_val_score

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


def test_candidates_differ_and_are_the_same_for_everyone(searching: Toy) -> None:
    project = load_project(searching.root)
    found = candidates(project)
    assert found == candidates(load_project(searching.root))
    assert len({tuple(sorted(params.items(), key=str)) for params in found}) == len(found) == 3
    assert all(params["C"] in SEARCH["space"]["C"] for params in found)


def test_the_best_candidate_is_trained_without_another_search(searching: Toy) -> None:
    found = [score(searching, number) for number in range(3)]
    assert [one["params"] for one in found] == candidates(load_project(searching.root))
    best = max(found, key=lambda one: float(one[METRIC]))
    assert best["params"]["C"] == 1.0
    score(searching, best["candidate"])
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
    assert found[METRIC] == pytest.approx(float(np.mean(own)), abs=1e-12)
    runs = mlflow.search_runs(experiment_names=["toy"], output_format="list")
    logged = [run for run in runs if run.data.params.get("candidate") == "1"]
    assert logged[0].data.metrics[METRIC] == found[METRIC]
    assert logged[0].data.params["C"] == str(found["params"]["C"])


def test_a_candidate_of_other_settings_is_not_taken_over(searching: Toy) -> None:
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


def test_a_candidate_that_is_not_there_is_explained(searching: Toy) -> None:
    said = searching.mlops("search", "--candidate", "3", code=2).output
    assert "There is no candidate 3: there are 3, from 0 on." in said


def test_a_candidate_that_does_not_fit_the_classifier_is_explained(searching: Toy) -> None:
    searching.set(model={"search": {"space": {"penalti": [1, 2]}}})
    said = searching.mlops("search", "--candidate", "0", code=2).output
    searching.set(model={"search": SEARCH})
    assert "Candidate 0, {'penalti': " in said
    assert "Traceback" not in said


def test_without_a_search_there_is_no_candidate(searching: Toy) -> None:
    searching.set(model={"search": None})
    said = searching.mlops("search", "--candidate", "0", code=2).output
    searching.set(model={"search": SEARCH})
    assert "project.yml has no model.search." in said
