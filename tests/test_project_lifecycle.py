"""The tests of a rendered project's lifecycle, tests/mlops: once for all variants but for what an option selects."""

from pathlib import Path

from post_gen_project import KEPT_BY
from rendering import Render, RunOnce

# The files and folders that an option selects.
OPTIONAL = tuple(path for choices in KEPT_BY.values() for paths in choices.values() for path in paths)
BATCH = "tests/mlops/test_batch_score.py"


def lifecycle(path: str) -> bool:
    """Accept the lifecycle and its tests, which bring data and settings of their own."""
    return path.startswith(("src/mlops/", "tests/mlops/", "pyproject.toml"))


def lifecycle_of_all(path: str) -> bool:
    """Accept the same without what an option selects."""
    return lifecycle(path) and not path.startswith(OPTIONAL)


def test_the_lifecycle_of_every_variant_passes_its_tests(project: Path, run_once: RunOnce) -> None:
    run = run_once(project, lifecycle_of_all, "pytest tests/mlops")
    assert run.returncode == 0, run.stdout


def test_scoring_batches_passes_its_tests(render: Render, run_once: RunOnce) -> None:
    run = run_once(render({"batch_endpoint": "yes"}), lifecycle, f"pytest {BATCH}")
    assert run.returncode == 0, run.stdout


def test_no_test_is_left_out() -> None:
    """The commands above name each test that an option selects."""
    assert [path for path in OPTIONAL if path.startswith("tests/mlops")] == [BATCH]
