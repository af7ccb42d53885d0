"""Run the lifecycle's tests, tests/lifecycle/, on renders and in the environment of a rendered project."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from rendering import PAIRWISE, ROOT, Render

LIFECYCLE = ROOT / "tests" / "lifecycle"
# What one process runs, the longest first. All other files share one, and so the time that imports take.
LONG = (
    ("test_killed.py",),
    ("test_release.py",),
    ("test_moved.py", "test_planted.py"),
    ("test_two_commands.py", "test_machine_faults.py"),
    ("test_training.py", "test_search.py", "test_score.py"),
    ("test_report.py", "test_gate_commands.py", "test_router_requests.py"),
    ("test_data_change.py", "test_unseen_rows.py", "test_history.py"),
    ("test_table.py", "test_suites.py", "test_power.py", "test_rows.py", "test_same_probabilities.py"),
)
REST = tuple(sorted({file.name for file in LIFECYCLE.glob("test_*.py")} - {file for group in LONG for file in group}))
# The tests of azureml/ run where all of its files are: on two variants without a choice in common.
ON_TWO_VARIANTS = ("azureml/test_doctor.py", "azureml/test_specs.py")


def run_tests(project: Path, python: Path, files: tuple[str, ...]) -> str:
    """Run files of tests/lifecycle/ on a project; return what pytest prints, or fail with it."""
    command: list[str | Path] = [python, "-m", "pytest", "-c", LIFECYCLE / "pytest.ini", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, *(LIFECYCLE / file for file in files)],
        env={**os.environ, "PYTHONPATH": str(project / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if run.returncode:
        pytest.fail(run.stdout, pytrace=False)
    return run.stdout


@pytest.mark.parametrize("files", [*LONG, REST], ids=lambda files: files[0])
def test_the_lifecycle(files: tuple[str, ...], render: Render, project_python: Path) -> None:
    run_tests(render({}), project_python, files)


@pytest.mark.parametrize("file", ON_TWO_VARIANTS)
def test_azureml_on_two_variants(file: str, render: Render, project_python: Path) -> None:
    """Each test runs on one of them at least."""
    assert PAIRWISE[0].items() & PAIRWISE[1].items() == set()
    one, other = (run_tests(render(variant), project_python, (file,)) for variant in PAIRWISE[:2])
    assert set(skipped(one)) & set(skipped(other)) == set()


def skipped(text: str) -> list[str]:
    return re.findall(r"^SKIPPED \[\d+\] (.+)$", text, re.MULTILINE)


def test_every_file_is_run() -> None:
    named = [file for group in (*LONG, REST, ON_TWO_VARIANTS) for file in group]
    assert sorted(named) == sorted(file.relative_to(LIFECYCLE).as_posix() for file in LIFECYCLE.rglob("test_*.py"))
