"""What the template's tests share: the template as git would hand it out, and its renders."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from pytest_cookies.plugin import Cookies

ROOT = Path(__file__).resolve().parent.parent
CONTEXT = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
QUESTIONS = {name: default for name, default in CONTEXT.items() if not name.startswith("_")}
OPTIONS: dict[str, list[str]] = {name: value for name, value in QUESTIONS.items() if isinstance(value, list)}
VARIANTS = [dict(zip(OPTIONS, choices, strict=True)) for choices in product(*OPTIONS.values())]

Answers = dict[str, str]
Render = Callable[[Answers], Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the lists of rendered files")


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, apart from the configuration of whoever runs the tests; return what it prints."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ["-c", "user.name=Tests", "-c", "user.email=tests@example.com"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, encoding="utf-8").stdout


def copy_working_tree(destination: Path) -> None:
    """Copy what git has or would add, uncommitted changes included and ignored files left out."""
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file():
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, destination / name)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as a clean git repository of one commit, free of the caches that the working tree gathers."""
    folder = tmp_path_factory.mktemp("template")
    copy_working_tree(folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "The working tree")
    return folder


@pytest.fixture(scope="session")
def render(template: Path, cookies_session: Cookies) -> Render:
    """Render a project with the given answers, and the defaults for the rest: once for the same answers, to be read."""
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


@pytest.fixture(params=VARIANTS, ids=lambda variant: "+".join(variant.values()))
def variant(request: pytest.FixtureRequest) -> Answers:
    """Each combination of the options' choices."""
    choices: Answers = request.param
    return choices


@pytest.fixture
def project(variant: Answers, render: Render) -> Path:
    """The project of each variant, to be read."""
    return render(variant)


@pytest.fixture(scope="session")
def project_python() -> Path:
    """The Python of an environment with the requirements of a rendered project, from PROJECT_PYTHON."""
    python = Path(os.environ.get("PROJECT_PYTHON", ROOT / ".venv-project" / "bin" / "python"))
    assert python.is_file(), f"{python} is missing: run `make test`, which makes it, or set PROJECT_PYTHON"
    return python


def run_cookiecutter(template: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Render into home/out by the command line, which keeps its own files in home, on a terminal of plain ASCII."""
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template), "--output-dir", str(home / "out"), *arguments],
        env={**os.environ, "HOME": str(home), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def read_files(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder, by its path relative to it with forward slashes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
