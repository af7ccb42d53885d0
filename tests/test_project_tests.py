"""The other tests of a rendered project: those of its science, and of what it asks of Azure ML."""

from pathlib import Path

from rendering import RunOnce


def all_but_infrastructure(path: str) -> bool:
    """Accept what these tests read."""
    return not path.startswith((".github/", "azure-pipelines/", "infra/", "README.md"))


def test_a_project_passes_its_other_tests(project: Path, run_once: RunOnce) -> None:
    run = run_once(project, all_but_infrastructure, "pytest tests --ignore tests/mlops")
    assert run.returncode == 0, run.stdout
