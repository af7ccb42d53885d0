"""Which Python versions work, and what make, the hook and pip say of others."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import post_gen_project as hook
import pytest
from packaging.specifiers import SpecifierSet
from rendering import ROOT, Render

FAKE_PYTHON = """\
#!/bin/sh
exec {python} -c "import sys; sys.version_info = ({version}, 9, 'final', 0); exec(sys.argv.pop(1))" "$2"
"""
Put = Callable[..., Path]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put programs into the only folder on the PATH besides the system's tools, and return that folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "make", "mkdir", "touch"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    monkeypatch.setenv("PATH", str(folder))

    def put(**programs: str) -> Path:
        for name, text in programs.items():
            program = folder / name.replace("_", ".")
            program.write_text(text, encoding="utf-8")
            program.chmod(0o755)
        return folder

    return put


def python(version: str) -> str:
    """Return a program that runs `-c CODE` as another version of Python."""
    return FAKE_PYTHON.format(python=sys.executable, version=version.replace(".", ", "))


NO_PYTHON = "#!/bin/sh\necho 'pyenv: no such version' >&2\nexit 127\n"
UV = "#!/bin/sh\n"


def make(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make on a copy of the template's Makefile, which has no environment yet."""
    clone = tmp_path / "clone"
    if not clone.exists():
        clone.mkdir()
        for name in ("Makefile", "requirements-dev.txt"):
            shutil.copy2(ROOT / name, clone)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    return subprocess.run(
        ["make", *arguments], cwd=clone, env=environment, capture_output=True, encoding="utf-8", check=False
    )


@pytest.mark.parametrize("version", ["2.7", "3.10", "3.14", "4.0"])
@pytest.mark.parametrize(
    ("others", "command"),
    [
        ({}, "install Python 3.13, then run: PYTHON=python3.13 make demo"),
        ({"python3_13": NO_PYTHON}, "install Python 3.13, then run: PYTHON=python3.13 make demo"),
        ({"python3_12": python("3.12")}, "run: PYTHON=python3.12 make demo"),
        ({"python3_11": python("3.11"), "python3_13": python("3.13")}, "run: PYTHON=python3.13 make demo"),
        ({"uv": UV}, 'run: uv python install 3.13 && PYTHON="$(uv python find 3.13)" make demo'),
        ({"uv": UV, "python3_12": python("3.12")}, "run: PYTHON=python3.12 make demo"),
    ],
)
def test_make_says_in_one_line_how_to_go_on(
    version: str, others: dict[str, str], command: str, path: Put, tmp_path: Path
) -> None:
    path(python3=python(version), **others)
    run = make(tmp_path, "demo")
    assert run.returncode != 0
    [line] = [line for line in run.stderr.splitlines() if not line.startswith("make: ")]
    assert line == f"This needs Python 3.11 to 3.13, but python3 is Python {version}: {command}"
    assert not (tmp_path / "clone" / ".venv").exists()


def test_make_says_that_python_does_not_start(path: Put, tmp_path: Path) -> None:
    path(python3_12=python("3.12"))
    run = make(tmp_path, "install", "PYTHON=nowhere/python")
    assert run.stderr.startswith(
        "This needs Python 3.11 to 3.13, but nowhere/python does not start: run: PYTHON=python3.12 make install\n"
    )


@pytest.mark.parametrize("version", hook.PYTHONS)
def test_make_takes_a_supported_python(version: str, path: Put, tmp_path: Path) -> None:
    """Its first command creates the environment, which the fake Python cannot do."""
    path(python3=python("3.10"), chosen=python(version))
    run = make(tmp_path, "install", "PYTHON=chosen")
    assert "This needs Python" not in run.stderr
    assert run.stdout == "chosen -m venv .venv\n"


def commands(running: str, *, windows: bool = False) -> tuple[str, list[str]]:
    """Return the first line of the next steps, and the commands."""
    first, *lines = [line for line in hook.next_steps("credit-risk", running, windows=windows).splitlines() if line]
    return first, [line.strip() for line in lines]


REST = [
    ".venv/bin/python -m pip install --no-deps -e .",
    ".venv/bin/python -m pip install -r requirements.txt",
    ".venv/bin/mlops run",
]
REST_ON_WINDOWS = [
    r".venv\Scripts\python -m pip install --no-deps -e .",
    r".venv\Scripts\python -m pip install -r requirements.txt",
    r".venv\Scripts\mlops run",
]


@pytest.mark.parametrize("version", hook.PYTHONS)
def test_the_next_steps_use_the_python_of_cookiecutter(version: str, path: Put) -> None:
    (path() / "python3").symlink_to(sys.executable)
    first, steps = commands(version)
    assert first == "credit-risk is ready. It needs Python 3.11 to 3.13:"
    assert steps == ["cd credit-risk", "python3 -m venv .venv", *REST]


def test_the_next_steps_name_the_python_of_cookiecutter_if_the_path_has_another(path: Put) -> None:
    path(python3=python("3.10"))
    assert commands("3.13")[1][1] == f"{sys.executable} -m venv .venv"


def test_the_next_steps_on_windows(path: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    (path() / "python").symlink_to(sys.executable)
    assert commands("3.13", windows=True)[1] == ["cd credit-risk", "python -m venv .venv", *REST_ON_WINDOWS]
    monkeypatch.setattr(sys, "executable", r"C:\Program Files\Python\python.exe")
    assert commands("3.13", windows=True)[1][1] == r'"C:\Program Files\Python\python.exe" -m venv .venv'


@pytest.mark.parametrize("running", ["3.10", "3.14"])
@pytest.mark.parametrize(
    ("programs", "install", "create"),
    [
        ({}, True, "python3.13 -m venv .venv"),
        ({"python3_13": NO_PYTHON}, True, "python3.13 -m venv .venv"),
        ({"python3_13": NO_PYTHON, "python3_11": python("3.11")}, False, "python3.11 -m venv .venv"),
        ({"python3_12": python("3.12"), "uv": UV}, False, "uv venv --seed --python 3.13 .venv"),
    ],
)
def test_the_next_steps_find_another_python(
    running: str, programs: dict[str, str], install: bool, create: str, path: Put
) -> None:
    path(**programs)
    first, steps = commands(running)
    found = f"credit-risk is ready. It needs Python 3.11 to 3.13; cookiecutter runs on {running}"
    assert first == found + (". Install Python 3.13 first, then:" if install else ":")
    assert steps == ["cd credit-risk", create, *REST]


def test_the_next_steps_on_windows_use_its_launcher(path: Put) -> None:
    path(py='#!/bin/sh\ntest "$1" = -3.12\n')
    assert commands("3.14", windows=True)[1][1] == "py -3.12 -m venv .venv"


def test_all_files_name_the_same_versions(render: Render) -> None:
    metadata = tomllib.loads((render({}) / "pyproject.toml").read_text(encoding="utf-8"))
    specifier = SpecifierSet(metadata["project"]["requires-python"])
    minors = [f"3.{minor}" for minor in range(30)]
    assert [version for version in reversed(minors) if specifier.contains(version)] == list(hook.PYTHONS)
    words = f"Python {hook.PYTHONS[-1]} to {hook.PYTHONS[0]}"
    for file in (ROOT / "Makefile", ROOT / "README.md", render({}) / "README.md"):
        assert words in file.read_text(encoding="utf-8"), file
    readme = (render({}) / "README.md").read_text(encoding="utf-8")
    installs = re.findall(r"^\.venv/bin/python (-m pip install .*?) *(?:#.*)?$", readme, re.MULTILINE)
    assert installs == [step.removeprefix(".venv/bin/python ") for step in REST[:2]]


def unsupported_pythons() -> Iterator[str]:
    versions = Path.home() / ".pyenv" / "versions"
    for name in ("python3.8", "python3.10", "python3.9", "python3.14"):
        yield from (str(file) for file in versions.glob(f"*/bin/{name}"))
        yield from filter(None, [shutil.which(name)])


def test_pip_says_in_one_line_which_versions_work(render: Render, tmp_path: Path) -> None:
    """The project comes before its requirements, whose conflicts would say nothing of Python."""
    for unsupported in unsupported_pythons():
        command = [unsupported, "-m", "venv", str(tmp_path / "venv")]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("this machine has no Python that a project refuses")
    project = tmp_path / "project"
    shutil.copytree(render({}), project)
    install = [str(tmp_path / "venv" / "bin" / "python"), *REST[0].split()[1:]]
    run = subprocess.run(install, cwd=project, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode != 0
    errors = [line for line in run.stderr.splitlines() if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert re.fullmatch(
        r"ERROR: Package 'credit-risk' requires a different Python: 3\.\d+\.\d+ not in '\S+'", errors[0]
    )
