"""A rendered project by its own measure: its linter, its types and its tests, and what its pull requests run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from post_gen_project import KEPT_BY
from rendering import Render, RunOnce

# The files and folders that an option selects.
OPTIONAL = tuple(path for choices in KEPT_BY.values() for paths in choices.values() for path in paths)


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_both_ci_systems_run_the_same_commands(render: Render) -> None:
    github = read_yaml(render({"ci_cd": "github-actions"}) / ".github" / "workflows" / "pull-request.yml")
    azure = read_yaml(render({"ci_cd": "azure-pipelines"}) / "azure-pipelines" / "pull-request.yml")
    of_github = [(step["name"], step["run"]) for step in github["jobs"]["check"]["steps"] if "run" in step]
    of_azure = [(step["displayName"], step["script"]) for step in azure["jobs"][0]["steps"] if "script" in step]
    assert [step for step in of_github if step[0] != "Show the report"] == of_azure
    assert [command for _, command in of_azure] == [
        "python -m pip install -r requirements.txt -e .",
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "pytest",
        "mlops run",
        "mlops release --yes",
        "mlops stop",
    ]


def test_a_pull_request_gets_no_secret_and_no_right_to_write(render: Render) -> None:
    path = render({"ci_cd": "github-actions"}) / ".github" / "workflows" / "pull-request.yml"
    workflow = read_yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"pull_request", "push"}  # YAML 1.1 reads the key `on` as true
    for job in workflow["jobs"].values():
        assert not {"permissions", "environment", "secrets"} & set(job)
    assert "secrets." not in path.read_text(encoding="utf-8")


def sources(path: str) -> bool:
    return path.startswith(("src/", "pyproject.toml"))


def lifecycle(path: str) -> bool:
    """Accept the lifecycle and its tests, which bring data and settings of their own."""
    return path.startswith(("src/mlops/", "tests/mlops/", "pyproject.toml"))


def lifecycle_of_all(path: str) -> bool:
    """Accept the same without what an option selects."""
    return lifecycle(path) and not path.startswith(OPTIONAL)


def asked_of_azure(path: str) -> bool:
    """Accept what the other tests read: all but the infrastructure, the pipelines and the pages."""
    return not path.startswith((".github/", "azure-pipelines/", "infra/", "README.md"))


def anything(_path: str) -> bool:
    return True


# All of a project's tests: those that start servers once, since they read nothing that an option selects.
@pytest.mark.parametrize(
    ("command", "reads"),
    [
        ("ruff check .", anything),
        ("ruff format --check .", anything),
        ("mypy", sources),
        pytest.param("pytest tests/mlops", lifecycle_of_all, marks=pytest.mark.xdist_group("lifecycle-of-a-project")),
        ("pytest tests/mlops/test_batch_score.py", lifecycle),
        pytest.param(
            "pytest tests --ignore tests/mlops", asked_of_azure, marks=pytest.mark.xdist_group("azureml-of-a-project")
        ),
    ],
)
def test_a_project_passes_its_own_checks(
    command: str, reads: Callable[[str], bool], project: Path, run_once: RunOnce
) -> None:
    if not all((project / word).exists() for word in command.split() if word.startswith("tests/")):
        pytest.skip("a choice of this variant leaves it out")
    run = run_once(project, reads, command)
    assert run.returncode == 0, run.stdout


def test_no_test_of_a_project_is_left_out() -> None:
    """The commands above name each test that an option selects."""
    assert [path for path in OPTIONAL if path.startswith("tests/mlops")] == ["tests/mlops/test_batch_score.py"]
