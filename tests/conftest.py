"""Fixtures and scheduling that the template's tests share."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from doubles.terraform.client import Terraform, running_terraform, types_in
from pytest_cookies.plugin import Cookies
from rendering import PAIRWISE, ROOT, Render, RunOnce, as_git_repository, read_files
from variants.findings import Answers
from xdist.scheduler import LoadFileScheduling

collect_ignore = ["lifecycle"]  # test_lifecycle.py runs it, in the environment of a project
# The files whose tests take long, the longest first: they begin first, so that both workers end together.
SLOW = (
    "test_lifecycle",
    "test_azure_faults",
    "test_hostile_answers",
    "test_azure_release",
    "test_workflows_release",
    "test_connect_github",
    "test_connect_story",
    "test_doctor_online",
    "test_azure_pipelines_release",
    "test_workflows_pull_request",
    "test_infra",
    "test_infra_commands",
    "test_azure_pipelines_pull_request",
    "test_workflows_infra",
    "test_connect_azure_devops",
    "test_demo",
    "test_connect_subjects",
    "test_connect_hook",
    "test_azure_unseen_rows",
    "test_azure_pipelines_infra",
    "test_project",
    "test_infra_mutations",
    "test_engine",
    "test_azure_scoring",
    "test_arm_double",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    for item in items:
        if item.path.stem in order:
            item.add_marker("slow")


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Keep the tests of a file with one worker, for what they share; those of test_lifecycle.py share nothing."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if "test_lifecycle.py::" in nodeid else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the template into a clean git repository of one commit, without caches."""
    folder = tmp_path_factory.mktemp("template")
    as_git_repository(ROOT, folder)
    return folder


@pytest.fixture(scope="session")
def render(template: Path, cookies_session: Cookies) -> Render:
    """Render a project with some answers and defaults for the rest, once per set of answers; do not change it."""
    projects: dict[frozenset[tuple[str, str]], Path] = {}

    def render(answers: Answers) -> Path:
        key = frozenset(answers.items())
        if key not in projects:
            result = cookies_session.bake(extra_context=answers, template=str(template))
            if result.exception:
                raise result.exception
            projects[key] = result.project_path
        return projects[key]

    return render


@pytest.fixture(params=PAIRWISE, ids=lambda variant: "+".join(variant.values()))
def variant(request: pytest.FixtureRequest) -> Answers:
    """Return each of a few variants that cover every pair of choices."""
    choices: Answers = request.param
    return choices


@pytest.fixture
def project(variant: Answers, render: Render) -> Path:
    """Render each such variant; do not change it."""
    return render(variant)


@pytest.fixture(scope="session")
def project_python() -> Path:
    """Return the Python of a project's environment, from PROJECT_PYTHON."""
    python = Path(os.environ.get("PROJECT_PYTHON", ROOT / ".venv-project" / "bin" / "python"))
    assert python.is_file(), f"{python} does not exist: run `make install`, or set PROJECT_PYTHON"
    return python


@pytest.fixture(scope="session")
def run_once(project_python: Path, tmp_path_factory: pytest.TempPathFactory) -> RunOnce:
    """Run a module of the shared environment on the files of a project that `reads` accepts.

    Projects with the same such files share one run. It sees no other files, so whatever reads more fails.
    """
    folders: dict[str, Path] = {}
    runs: dict[tuple[Path, str], subprocess.CompletedProcess[str]] = {}

    def run_once(project: Path, reads: Callable[[str], bool], command: str) -> subprocess.CompletedProcess[str]:
        files = {path: content for path, content in read_files(project).items() if reads(path)}
        key = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp("checkout") / project.name
            for path in files:
                (folders[key] / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(project / path, folders[key] / path)
        if (folders[key], command) not in runs:
            runs[folders[key], command] = subprocess.run(
                [project_python, "-m", *command.split()],
                cwd=folders[key],
                env={
                    **os.environ,
                    "PYTHONPATH": str(folders[key] / "src"),
                    "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache" / "variants"),  # the libraries are the same in all
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                check=False,
            )
        return runs[folders[key], command]

    return run_once


@pytest.fixture(scope="session")
def terraform() -> Iterator[Terraform]:
    """Run the real Terraform with the double's schema of the azurerm types that the template uses."""
    with running_terraform(types_in([ROOT / "{{cookiecutter.project_slug}}" / "infra"])) as running:
        yield running
