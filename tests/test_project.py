"""A rendered project by its own measure: its linter, types, tests and lifecycle, and what its pull requests run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import post_gen_project as hook
import pytest
import yaml
from rendering import RunOnce

# The files and folders that an option selects.
OPTIONAL = tuple(path for choices in hook.KEPT_BY.values() for paths in choices.values() for path in paths)
WITHOUT_AZURE = ("src/", "data/", "expectations/", "project.yml", "requirements.txt", "docs/model-card.md")


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def sources(path: str) -> bool:
    return path.startswith(("src/", "pyproject.toml"))


def anything(_path: str) -> bool:
    return True


def without_azure(path: str) -> bool:
    """Accept what is at work on a laptop; of the options, only `serving` changes it, in project.yml."""
    return path.startswith(WITHOUT_AZURE) and not path.startswith(OPTIONAL)


def with_tests(path: str) -> bool:
    return without_azure(path) or path.startswith(("tests/", "pyproject.toml"))


@pytest.mark.parametrize(
    ("command", "reads"),
    [("ruff check .", anything), ("ruff format --check .", anything), ("mypy", sources), ("pytest", with_tests)],
)
def test_a_project_passes_its_own_checks(
    command: str, reads: Callable[[str], bool], project: Path, run_once: RunOnce
) -> None:
    run = run_once(project, reads, command)
    assert run.returncode == 0, run.stdout


def test_the_whole_lifecycle_runs_on_a_laptop(project: Path, run_once: RunOnce) -> None:
    for command in ("mlops run", "mlops release --yes", "mlops status", "mlops stop"):
        run = run_once(project, without_azure, command)
        assert run.returncode == 0, run.stdout
