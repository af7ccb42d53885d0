"""A rendered project by its own measure: its linter and its types, and what its pull requests run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendering import Render, RunOnce


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


def anything(_path: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("command", "reads"), [("ruff check .", anything), ("ruff format --check .", anything), ("mypy", sources)]
)
def test_a_project_passes_its_own_checks(
    command: str, reads: Callable[[str], bool], project: Path, run_once: RunOnce
) -> None:
    run = run_once(project, reads, command)
    assert run.returncode == 0, run.stdout
