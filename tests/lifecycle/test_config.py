"""Every kind of mistake in project.yml is reported with its fix before anything runs."""

from __future__ import annotations

import copy
import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from mlops.cli import main
from mlops.config import ENVIRONMENTS, Environment, LocalEndpoint, load_project

GOOD: dict[str, Any] = {
    "project": "toy",
    "name": "Toy",
    "description": "A project for tests.",
    "repository": "ORG/toy",
    "package": "toy",
    "data": {"path": "rows.csv", "target": "outcome", "positive": "yes"},
    "split": {"holdout": 0.4, "seed": 3},
    "model": {"estimator": "random_forest", "params": {"n_estimators": 20}},
    "gate": {"thresholds": {"roc_auc": 0.6}, "slices": ["segment", {"near": [0.0]}]},
    "serving": {"staging": {"port": 5080}, "production": {"port": 5090, "steps": [20, 100]}},
    "azure": {"region": "westeurope", "prefix": "toy"},
}
REMOVED = object()
Change = tuple[str, Any]  # a field's path and new value


def changed(*changes: Change) -> dict[str, Any]:
    """Return a valid project.yml with other values in some fields."""
    content = copy.deepcopy(GOOD)
    for path, value in changes:
        *sections, field = path.split(".")
        section = content
        for name in sections:
            section = section.setdefault(name, {})
        if value is REMOVED:
            del section[field]
        else:
            section[field] = value
    return content


def write(folder: Path, content: dict[str, Any]) -> None:
    (folder / "project.yml").write_text(yaml.safe_dump(content), "utf-8")


def refused(folder: Path) -> str:
    """Return what a verb prints for an invalid project.yml."""
    result: Result = CliRunner().invoke(main, ["--project", str(folder), "validate"])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


# A wrong value, and the start of the line that reports it.
WRONG: dict[str, tuple[Change, str]] = {
    "missing field": (
        ("data.target", REMOVED),
        "data.target is missing. Expected: the name of the column to predict.",
    ),
    "missing section": (("model", REMOVED), "model is missing."),
    "missing within a section": (
        ("serving.staging.port", REMOVED),
        "serving.staging.port is missing. Expected: a free port from 1024 to 65535.",
    ),
    "misspelt": (
        ("split.holdot", 0.2),
        "split.holdot is not a field. Did you mean holdout?",
    ),
    "misspelt section": (("servng", {}), "servng is not a field. Did you mean serving?"),
    "misspelt below two sections": (
        ("serving.production.max_latency", 5),
        "serving.production.max_latency is not a field. Did you mean max_latency_ms?",
    ),
    "unknown, like nothing": (
        ("data.zzz", 1),
        "data.zzz is not a field. Known: path, target, positive, id.",
    ),
    "too large": (
        ("split.holdout", 1.5),
        "split.holdout = 1.5: Input should be less than 1. Expected: a fraction between 0 and 1",
    ),
    "too small": (("split.holdout", 0), "split.holdout = 0: Input should be greater than 0."),
    "negative seed": (("split.seed", -1), "split.seed = -1: "),
    "port out of range": (
        ("serving.staging.port", 80),
        "serving.staging.port = 80: Input should be greater than or equal to 1024.",
    ),
    "certain beyond doubt": (("gate.confidence", 1), "gate.confidence = 1: "),
    "one candidate": (
        ("model.search", {"space": {"C": [1, 2]}, "candidates": 1}),
        "model.search.candidates = 1: Input should be greater than or equal to 2. "
        "Expected: the number of combinations to try",
    ),
    "not a number": (("split.holdout", "a third"), "split.holdout = 'a third': "),
    "not a whole number": (("split.seed", 1.5), "split.seed = 1.5: "),
    "not a text": (("name", 2024), "name = 2024: Input should be a valid string."),
    "not a section": (("split", 0.25), "split = 0.25: Input should be a section of fields."),
    "not a list": (("gate.slices", "home"), "gate.slices = 'home': "),
    "a list as class": (("data.positive", ["yes"]), "data.positive = ['yes']: a class is text (in quotes), a whole"),
    "a fraction as class": (("data.positive", 0.5), "data.positive = 0.5: a class is text"),
    "a date as class": (
        ("data.positive", datetime.date(2026, 1, 1)),
        "data.positive = datetime.date(2026, 1, 1): a class is text (in quotes)",
    ),
    "empty text": (("data.target", " "), "data.target = ' ': "),
    "empty space": (("model.search", {"space": {}}), "model.search.space: "),
    "unknown metric": (
        ("gate.metric", "auc"),
        "gate.metric = 'auc': Input should be 'average_precision', 'roc_auc', 'log_loss' or 'brier'.",
    ),
    "unknown threshold": (("gate.thresholds", {"roc": 0.7}), "gate.thresholds.roc"),
    "slice of two columns": (
        ("gate.slices", [{"near": [0], "far": [0]}]),
        "must contain one column and at least one edge",
    ),
    "slice without edges": (("gate.slices", [{"near": []}]), "at least one edge"),
    "repository without owner": (
        ("repository", "toy"),
        "repository = 'toy': String should match pattern",
    ),
    "package with a hyphen": (("package", "to-y"), "package = 'to-y': "),
    "falling steps": (
        ("serving.production.steps", [50, 20, 100]),
        "serving.production.steps = [50, 20, 100]: the steps do not increase to 100. "
        "Expected: increasing percentages, ending with 100.",
    ),
    "steps that end early": (
        ("serving.production.steps", [20, 50]),
        "serving.production.steps = [20, 50]: the steps do not increase to 100.",
    ),
    "a step twice": (("serving.production.steps", [20, 20, 100]), "do not increase to 100"),
    "a step beyond all": (
        ("serving.production.steps", [20, 120]),
        "serving.production.steps.1 = 120: ",
    ),
    "no steps": (("serving.production.steps", []), "serving.production.steps = []: "),
    "shared ports": (
        ("serving.production.port", 5080),
        "serving: staging and production have the same port.",
    ),
    "unknown target": (
        ("serving.staging.target", "aks"),
        "serving.staging.target = 'aks' is not a target. Known: local, managed, kubernetes, container-instance.",
    ),
    "steps of a container instance": (
        ("serving.staging", {"port": 5080, "target": "container-instance", "steps": [10, 100]}),
        "serving.staging.steps = [10, 100]: container-instance cannot split traffic, so steps must be [100].",
    ),
    "mirror on kubernetes": (
        ("serving.staging", {"port": 5080, "target": "kubernetes", "mirror": 10}),
        "serving.staging.mirror is not a field of the target kubernetes, only of managed.",
    ),
    "processors of a managed endpoint": (
        ("serving.staging", {"port": 5080, "target": "managed", "cpu": 2}),
        "serving.staging.cpu is not a field of the target managed, only of kubernetes and container-instance.",
    ),
    "instances of the default target": (
        ("serving.staging.instances", 2),
        "serving.staging.instances is not a field of the target local, only of managed and kubernetes.",
    ),
    "misspelt field of a target": (
        ("serving.staging", {"port": 5080, "target": "managed", "instance_typ": "Standard_F2s_v2"}),
        "serving.staging.instance_typ is not a field. Did you mean instance_type?",
    ),
    "former name of thresholds": (
        ("gate.floors", {"roc_auc": 0.6}),
        "gate.floors is now called thresholds. Rename it.",
    ),
    "former name of slice_thresholds": (
        ("gate.slice_floors", {"roc_auc": 0.6}),
        "gate.slice_floors is now called slice_thresholds. Rename it.",
    ),
    "former name of smoke_requests": (
        ("serving.staging", {"port": 5080, "target": "kubernetes", "checks": 20}),
        "serving.staging.checks is now called smoke_requests. Rename it.",
    ),
    "a former name elsewhere": (
        ("split.checks", 20),
        "split.checks is not a field. Known: holdout, seed, group, time.",
    ),
    "endpoint without fields": (
        ("serving.staging", 5080),
        "serving.staging = 5080: Input should be a section of fields. Expected: a section with target and port.",
    ),
    "too much mirrored": (
        ("serving.staging", {"port": 5080, "target": "managed", "mirror": 60}),
        "serving.staging.mirror = 60: Input should be less than or equal to 50.",
    ),
    "no instances": (
        ("serving.staging", {"port": 5080, "target": "managed", "instances": 0}),
        "serving.staging.instances = 0: ",
    ),
    "fewer instances under load": (
        ("serving.staging", {"port": 5080, "target": "managed", "instances": 3, "max_instances": 2}),
        "serving.staging: max_instances is less than instances",
    ),
    "no processor": (
        ("serving.staging", {"port": 5080, "target": "container-instance", "cpu": 0}),
        "serving.staging.cpu = 0: Input should be greater than 0. Expected: processors per container",
    ),
    "size with a space": (
        ("serving.staging", {"port": 5080, "target": "managed", "instance_type": "Standard DS3"}),
        "serving.staging.instance_type = 'Standard DS3': ",
    ),
    "no nodes": (
        ("azure.compute", {"nodes": 0}),
        "azure.compute.nodes = 0: Input should be greater than or equal to 1. Expected: maximum nodes; scales to zero.",
    ),
    "unknown tier": (
        ("azure.compute", {"tier": "spot"}),
        "azure.compute.tier = 'spot': Input should be 'dedicated' or 'low_priority'.",
    ),
    "group and time": (
        ("split", {"group": "segment", "time": "near"}),
        "split: group and time cannot both be set.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_reported_with_its_path_value_and_expectation(tmp_path: Path, name: str) -> None:
    change, words = WRONG[name]
    write(tmp_path, changed(change))
    said = refused(tmp_path)
    assert words in said
    assert "project.yml has 1 error:" in said or name in ("unknown threshold", "slice of two columns")


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        changed(("data.target", REMOVED), ("split.seed", -1), ("gate.margn", 0)),
    )
    said = refused(tmp_path)
    assert "project.yml has 3 errors:" in said
    assert [line.split()[0] for line in said.splitlines()[1:4]] == [
        "data.target",
        "split.seed",
        "gate.margn",
    ]


@pytest.mark.parametrize("edges", [[50, 30], [30, 30]])
def test_edges_of_a_slice_must_increase(tmp_path: Path, edges: list[int]) -> None:
    write(tmp_path, changed(("gate.slices", [{"age": edges}])))
    assert str(edges).replace("]", "") in refused(tmp_path).replace(".0", "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"project: [toy\nname: x", "is not valid YAML"),
        (b"project: toy\n\tname: x", "line 2"),
        (b"name: \xe9", "is not valid YAML"),
        (b"", "contains no fields"),
        (b"- project\n- name\n", "contains no fields"),
        (b"just words", "contains no fields"),
    ],
    ids=["open bracket", "tab", "wrong encoding", "empty", "a list", "a text"],
)
def test_a_file_without_fields_is_explained(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "project.yml").write_bytes(content)
    said = refused(tmp_path)
    assert words in said
    assert str(tmp_path / "project.yml") in said
    assert "Fix: " in said


@pytest.mark.parametrize("key", ["on", "1", "null"])
def test_a_key_that_yaml_does_not_read_as_text_is_explained(tmp_path: Path, key: str) -> None:
    write(tmp_path, GOOD)
    with (tmp_path / "project.yml").open("a") as file:
        file.write(f"{key}: 1\n")
    assert "project.yml has 1 error:" in refused(tmp_path)


@pytest.mark.parametrize("path", ["gate.margin", "serving.staging.timeout_s"])
def test_infinity_is_refused(tmp_path: Path, path: str) -> None:
    write(tmp_path, changed((path, float("inf"))))
    assert f"{path} = inf: " in refused(tmp_path)


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    said = refused(tmp_path)
    assert f"There is no project.yml in {tmp_path} or above it." in said
    assert "mlops --project FOLDER" in said


def test_a_valid_file_is_found_from_any_subfolder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, GOOD)
    below = tmp_path / "src" / "toy"
    below.mkdir(parents=True)
    project = load_project(below)
    assert project.root == tmp_path
    assert project.data_path == tmp_path / "rows.csv"
    assert project.model.params == {"n_estimators": 20}
    assert project.gate.slices == ["segment", {"near": [0.0]}]
    monkeypatch.chdir(below)
    stopped = CliRunner().invoke(main, ["stop"])
    assert stopped.exit_code == 0, stopped.output


@pytest.mark.parametrize("repository", ["ORG/toy", "My Team/Our  risk.v2"])
def test_names_on_azure_devops_may_contain_spaces(tmp_path: Path, repository: str) -> None:
    write(tmp_path, changed(("repository", repository)))
    assert load_project(tmp_path).repository == repository


@pytest.mark.parametrize(
    ("settings", "instance_type"),
    [
        ({"target": "managed"}, "Standard_DS3_v2"),
        ({"target": "kubernetes"}, "defaultinstancetype"),
        ({"target": "kubernetes", "instance_type": "large"}, "large"),
    ],
)
def test_each_target_has_its_own_default_instance_type(
    tmp_path: Path, settings: dict[str, str], instance_type: str
) -> None:
    write(tmp_path, changed(("serving.staging", {"port": 5080, **settings})))
    assert load_project(tmp_path).endpoint("staging").model_dump()["instance_type"] == instance_type


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_endpoint_without_a_target_is_local(tmp_path: Path, environment: Environment) -> None:
    write(tmp_path, GOOD)
    endpoint = load_project(tmp_path).endpoint(environment)
    assert isinstance(endpoint, LocalEndpoint)
    assert endpoint.port == GOOD["serving"][environment]["port"]


def test_mlops_outputs_moves_the_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, GOOD)
    monkeypatch.delenv("MLOPS_OUTPUTS", raising=False)
    assert load_project(tmp_path).outputs == tmp_path / "outputs"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLOPS_OUTPUTS", "elsewhere")
    assert load_project(tmp_path).outputs == tmp_path / "elsewhere"


@pytest.mark.parametrize(("candidates", "tried"), [(2, 2), (6, 6), (12, 6)])
def test_a_search_tries_no_more_candidates_than_exist(tmp_path: Path, candidates: int, tried: int) -> None:
    space = {"C": [0.1, 1, 10], "penalty": ["l1", "l2"]}
    write(tmp_path, changed(("model.search", {"space": space, "candidates": candidates})))
    search = load_project(tmp_path).model.search
    assert search is not None
    assert search.combinations == tried


def test_the_nearest_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    inner = tmp_path / "inner"
    inner.mkdir()
    write(inner, changed(("project", "inner")))
    assert load_project(inner).project == "inner"


@pytest.mark.parametrize("section", ["data", "split", "model", "gate", "serving", "azure"])
def test_settings_are_immutable(tmp_path: Path, section: str) -> None:
    write(tmp_path, GOOD)
    part = getattr(load_project(tmp_path), section)
    field = next(iter(type(part).model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(part, field, "other")
