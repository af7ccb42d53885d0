"""Training through the commands: estimators, search, serialization, three classes, the threshold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow.sklearn
import mlops
import numpy as np
import pandas as pd
import pytest
from conftest import Toy, make_rows, make_toy
from mlops.config import Model, load_project
from mlops.data.dataset import RawData, read_rows, split_rows
from mlops.errors import ConfigError
from mlops.model.estimators import make_estimator
from mlops.model.registry import load_run_model
from mlops.model.training import choose_threshold, fit
from mlops.science import find_science
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A project whose data is validated; each test trains its own model on it."""
    made = make_toy(tmp_path_factory.mktemp("training"))
    made.mlops("validate")
    yield made
    made.mlops("stop")


def choose(toy: Toy, estimator: str, **section: Any) -> None:
    """Replace project.yml's section model."""
    empty: dict[str, Any] = {"params": {}, "search": None, "serialization": "skops"}
    toy.set(model={**empty, "estimator": estimator, "trusted_types": [], **section})


def train(toy: Toy) -> dict[str, Any]:
    toy.mlops("train")
    return toy.output("training/training.json")


def load(toy: Toy, training: dict[str, Any]) -> Any:
    return load_run_model(load_project(toy.root), training["run_id"], training["model_digest"]).model


@pytest.mark.parametrize(
    ("estimator", "params", "kind"),
    [
        ("logistic_regression", {}, "LogisticRegression"),
        ("random_forest", {"n_estimators": 10}, "RandomForestClassifier"),
        ("hist_gradient_boosting", {"max_iter": 10}, "HistGradientBoostingClassifier"),
        ("sklearn.naive_bayes.GaussianNB", {}, "GaussianNB"),
    ],
)
def test_an_estimator_is_trained_and_loaded_back_from_skops(
    shared: Toy, estimator: str, params: dict[str, Any], kind: str
) -> None:
    choose(shared, estimator, params=params)
    training = train(shared)
    model = load(shared, training)
    assert type(model.estimator_.named_steps["model"]).__name__ == kind
    assert params.items() <= training["params"].items()
    if "random_state" in training["params"]:
        assert training["params"]["random_state"] == 3
    assert model.threshold == training["threshold"]
    dataset = split(shared)
    assert training["rows"] == (~dataset.holdout).sum()
    held_out = dataset.features[dataset.holdout]
    score = f1_score(dataset.target[dataset.holdout], model.predict(held_out), pos_label="yes")
    assert score > 0.75
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{training['run_id']}/model"))
    assert (folder / "model.skops").is_file()
    assert not list(folder.rglob("*.pkl"))


def split(toy: Toy) -> Any:
    project = load_project(toy.root)
    return split_rows(read_rows(project.data_path, find_science(project).load), project)


def test_a_custom_type_must_be_trusted_by_name(shared: Toy) -> None:
    choose(shared, "toy.estimators.Columns", params={"width": 2})
    said = shared.mlops("train", code=2).output
    assert "skops cannot save this model" in said
    assert "toy.estimators.Columns" in said
    assert "model.trusted_types" in said
    assert "model.serialization to cloudpickle" in said
    choose(shared, "toy.estimators.Columns", trusted_types=["toy.estimators.Columns"])
    assert type(load(shared, train(shared)).estimator_[-1]).__name__ == "Columns"


def test_cloudpickle_saves_any_type_and_is_used_only_if_configured(shared: Toy) -> None:
    choose(shared, "toy.estimators.Columns", params={"width": 2}, serialization="cloudpickle")
    training = train(shared)
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{training['run_id']}/model"))
    assert not (folder / "model.skops").exists()
    assert (folder / "model.pkl").is_file()
    assert load(shared, training).estimator_[-1].width == 2


SEARCH: dict[str, Any] = {
    "space": {"C": [1e-6, 1e-5, 0.5], "class_weight": [None, "balanced"]},
    "candidates": 6,
}


def test_a_search_shows_progress_keeps_the_best_and_is_reproducible(shared: Toy) -> None:
    choose(shared, "logistic_regression", search=SEARCH)
    shared.set(gate={"metric": "log_loss"})
    shown = shared.mlops("train").output
    assert "HalvingRandomSearchCV" in shown
    assert "100%" in shown
    first = shared.output("training/training.json")
    # The stronger penalties leave the probabilities at the class frequencies.
    assert first["params"]["C"] == 0.5
    assert first["params"]["class_weight"] in SEARCH["space"]["class_weight"]
    kept = mlflow.MlflowClient().get_run(first["run_id"]).data.params
    assert kept["C"] == "0.5"
    (shared.root / "outputs/training/training.json").unlink()
    second = train(shared)
    assert second["run_id"] != first["run_id"]
    assert second["params"] == first["params"]
    assert second["threshold"] == first["threshold"]
    one, other = (load(shared, made).estimator_[-1] for made in (first, second))
    assert one.C == 0.5
    assert (one.coef_ == other.coef_).all()
    shared.set(gate={"metric": "average_precision"})


def test_a_searched_parameter_must_exist(shared: Toy) -> None:
    choose(shared, "logistic_regression", search={"space": {"penalti": [1, 2]}})
    said = shared.mlops("train", code=2).output
    assert "penalti" in said
    assert "Fix: Check model.params" in said


WRONG_MODELS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "an unknown parameter": ("random_forest", {"trees": 9}, ["model.params", "trees"]),
    "a value of a wrong type": ("random_forest", {"n_estimators": "many"}, ["n_estimators"]),
    "a value out of range": ("logistic_regression", {"C": -1}, ["'C'", "-1", "model.params"]),
    "an unknown name": ("random_forrest", {}, ["'random_forrest'", "random_forest"]),
    "an unknown module": ("nowhere.Model", {}, ["'nowhere.Model'", "class by its path"]),
    "an unknown class": ("sklearn.svm.Nothing", {}, ["'sklearn.svm.Nothing'", "by its path"]),
    "no classifier": ("sklearn.linear_model.Ridge", {}, ["Ridge has no predict_proba()"]),
    "no probabilities": ("sklearn.svm.LinearSVC", {}, ["LinearSVC has no predict_proba()"]),
    "no class at all": ("math.sqrt", {}, ["model.estimator math.sqrt is not an estimator's class"]),
}


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_a_wrong_model_is_explained(shared: Toy, name: str) -> None:
    estimator, params, words = WRONG_MODELS[name]
    choose(shared, estimator, params=params)
    said = shared.mlops("train", code=2).output
    assert "Traceback" not in said
    for word in words:
        assert word in said


def test_a_configured_seed_is_kept() -> None:
    settings = Model(estimator="random_forest", params={"random_state": 11})
    assert make_estimator(settings, 3).random_state == 11
    assert make_estimator(Model(estimator="random_forest"), 3).random_state == 3


def test_the_threshold_is_chosen_on_training_folds_only(shared: Toy) -> None:
    choose(shared, "logistic_regression")
    project = load_project(shared.root)
    science = find_science(project)
    raw = read_rows(project.data_path, science.load)
    dataset = split_rows(raw, project)
    before, threshold = fit(dataset, project, science)
    X, y = dataset.features[~dataset.holdout], dataset.target[~dataset.holdout]
    pipeline = load(shared, train(shared)).estimator
    folds = StratifiedKFold(3, shuffle=True, random_state=3)
    shares = cross_val_predict(pipeline, X, y, cv=folds, method="predict_proba")[:, 1]
    scores = {t: f1_score(y, np.where(shares >= t, "yes", "no"), pos_label="yes") for t in shares}
    assert threshold is not None
    assert scores[threshold] == max(scores.values())

    flipped = raw.frame.copy()
    other = np.where(flipped["outcome"] == "yes", "no", "yes")
    flipped["outcome"] = np.where(dataset.holdout, other, flipped["outcome"])
    again = split_rows(RawData(flipped, "digest", raw.source), project)
    assert (again.holdout == dataset.holdout).all()
    model, unchanged = fit(again, project, science)
    assert unchanged == threshold
    assert (model.estimator_[-1].coef_ == before.estimator_[-1].coef_).all()


@pytest.mark.parametrize("positive", ["yes", "no"])
def test_the_threshold_suits_the_positive_class(shared: Toy, positive: str) -> None:
    """A rare positive class needs a threshold below one half."""
    choose(shared, "logistic_regression")
    project = load_project(shared.root)
    science = find_science(project)
    rng = np.random.default_rng(0)
    rows = make_rows()
    rows = rows[(rows["outcome"] != positive) | (rng.random(len(rows)) < 0.1)]
    X, y = rows[["near", "far"]], rows["outcome"].to_numpy()
    threshold = choose_threshold(science.model(project.model, 3), X, y, None, positive, 3)
    assert 0.05 < threshold < 0.45


def test_a_group_is_never_on_both_sides_of_a_fold() -> None:
    """A tree can predict a group's class from the group's other rows only."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 10)
    X = pd.DataFrame({"group": groups, "noise": rng.normal(size=600)})
    y = rng.choice(["no", "yes"], size=60)[groups]
    tree = make_estimator(Model(estimator="sklearn.tree.DecisionTreeClassifier"), 3)
    assert choose_threshold(tree, X, y, None, "yes", 3) > 0.9
    assert choose_threshold(tree, X, y, groups, "yes", 3) < 0.1


def test_three_classes_go_from_validation_to_the_registry(toy: Toy) -> None:
    frame = make_rows()
    classes = np.array(["low", "middle", "high"])
    frame["outcome"] = classes[pd.qcut(frame["near"] + frame["far"], 3, labels=False)]
    frame.to_csv(toy.root / "rows.csv", index=False)
    suite = toy.root / "expectations" / "raw.json"
    content = json.loads(suite.read_text("utf-8"))
    expected = [e for e in content["expectations"] if e["kwargs"].get("column") != "outcome"]
    suite.write_text(json.dumps({**content, "expectations": expected}), "utf-8")
    toy.set(data={"positive": None}, gate={"slice_thresholds": {"log_loss": 1.0}})
    choose(toy, "logistic_regression", params={"C": 1e-3})
    assert toy.mlops("run").stdout.endswith("registered=1\n")
    choose(toy, "logistic_regression")
    for verb in ("validate", "train", "evaluate", "register", "report"):
        toy.mlops(verb)
    training = toy.output("training/training.json")
    assert training["threshold"] is None
    decision = toy.output("evaluation/evaluation.json")
    assert decision["classes"] == ["high", "low", "middle"]
    assert decision["positive"] is None
    assert [r["code"] for r in decision["decision"]["reasons"]] == ["better"]
    assert decision["metrics"]["roc_auc"] > 0.9
    assert toy.stages() == {1: "registered", 2: "registered"}
    model = load(toy, training)
    assert model.classes_.tolist() == ["high", "low", "middle"]
    predictions = pd.read_parquet(toy.root / "outputs/evaluation/predictions.parquet")
    shares = predictions[[f"challenger_{label}" for label in decision["classes"]]]
    assert (predictions["label"] == shares.to_numpy().argmax(axis=1)).all()
    toy.mlops("deploy", "staging")


def python(*args: str) -> str:
    """Return what a fresh Python process prints."""
    environment = {**os.environ, "PYTHONPATH": str(Path(mlops.__file__).parents[1])}
    command = [sys.executable, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout


def test_help_imports_nothing_heavy() -> None:
    heavy = {"pandas", "numpy", "sklearn", "mlflow", "great_expectations"}
    code = (
        "import sys; from click.testing import CliRunner; from mlops.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "assert CliRunner().invoke(main, ['train', '--help']).exit_code == 0\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    assert python("-c", code) == "[]\n"


def test_help_lists_the_verbs_in_the_order_of_the_lifecycle() -> None:
    lines = python("-m", "mlops", "--help").partition("Commands:\n")[2].splitlines()
    verbs = [line.split()[0] for line in lines if line.startswith("  ") and line[2:3].isalpha()]
    order = ["validate", "train", "evaluate", "register", "report", "run"]
    order += ["deploy", "release", "rollback", "status", "stop"]
    assert [verb for verb in verbs if verb in order] == order


SCIENCE = {
    "absent": ({}, "src/absent/data.py cannot be imported"),
    "partial": ({"data": "load = 1"}, "src/partial/features.py cannot be imported"),
    "lacking": ({"data": "x = 1"}, "src/lacking/data.py has no load()"),
    "failing": ({"data": "1 / 0"}, "src/failing/data.py fails on import: ZeroDivisionError"),
    "needing": ({"data": "import nothing_there"}, "No module named 'nothing_there'"),
}


@pytest.mark.parametrize("package", SCIENCE)
def test_an_unusable_science_package_is_explained(
    shared: Toy, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules, words = SCIENCE[package]
    monkeypatch.syspath_prepend(tmp_path)
    for module, code in modules.items():
        (tmp_path / package).mkdir(exist_ok=True)
        (tmp_path / package / f"{module}.py").write_text(code, "utf-8")
    project = load_project(shared.root).model_copy(update={"package": package})
    with pytest.raises(ConfigError) as caught:
        find_science(project)
    assert words in str(caught.value)
