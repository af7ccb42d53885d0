"""`connect: yes` in the hook: the project is complete whatever happens, and cruft connects nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rendering import read_files

ANSWERS = ("repository=octo/credit-risk", "connect=yes")
BIN = Path(sys.executable).parent
SHIM = f"""#!{sys.executable}
import os, sys
with open(os.environ["CALLS"], "a") as file:
    print(*sys.argv, file=file)
"""


def run_cookiecutter(template: Path, home: Path, **variables: str | None) -> subprocess.CompletedProcess[str]:
    """Render with `connect: yes`, with a home of its own, without a terminal."""
    home.mkdir(exist_ok=True)
    settings = home / "settings.yml"
    settings.write_text(f"replay_dir: '{home}/replay'\ncookiecutters_dir: '{home}/clones'\n", encoding="utf-8")
    given = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": None,
        "HOME": str(home),
        "GH_CONFIG_DIR": str(home / "gh"),
        **variables,
    }
    return subprocess.run(
        [
            *(sys.executable, "-m", "cookiecutter", str(template), "--no-input", "--output-dir", str(home / "out")),
            *("--config-file", str(settings), *ANSWERS),
        ],
        env={name: value for name, value in given.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def without(program: str, folder: Path) -> str:
    """Return a PATH that has git, and not a program."""
    folder.mkdir()
    for name in {"git", "gh"} - {program}:
        found = BIN / name if (BIN / name).exists() else Path("/usr/bin") / name
        (folder / name).symlink_to(found)
    return str(folder)


@pytest.fixture(scope="module")
def complete(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a project that nobody asked to connect."""
    home = tmp_path_factory.mktemp("complete")
    done = run_cookiecutter(template, home)
    assert done.returncode == 0, done.stderr
    return read_files(home / "out")


def test_without_a_terminal_the_hook_says_how_to_connect_later(template: Path, tmp_path: Path) -> None:
    done = run_cookiecutter(template, tmp_path)
    assert done.returncode == 0, done.stderr
    again = f"{Path(sys.executable).name} src/mlops/connect"
    last = done.stdout.strip().splitlines()[-1]
    assert last == f"Not connected: there is no terminal to ask at. To connect it, in credit-risk: {again}"
    assert not (tmp_path / "out" / "credit-risk" / ".git").exists()


@pytest.mark.parametrize(
    ("trouble", "error", "fix"),
    [
        ("no gh", "gh is not on the PATH.", "Install GitHub's command line, gh (cli.github.com), then run"),
        ("no git", "git is not on the PATH.", "Install git (git-scm.com)."),
        ("no login", "gh is not logged in to github.com.", "gh auth login --hostname github.com --scopes repo,"),
        ("no network", "github.com cannot be reached for GET user: ", "Check the network, the proxy and https://"),
        ("no home", "gh is not logged in to github.com.", "gh auth login --hostname github.com --scopes repo,"),
    ],
)
def test_whatever_is_missing_the_project_is_complete(
    template: Path, tmp_path: Path, complete: dict[str, bytes], trouble: str, error: str, fix: str
) -> None:
    given: dict[str, str | None] = {"MLOPS_CONNECT_YES": "1", "GH_TOKEN": None, "GITHUB_TOKEN": None}
    path = without(trouble.removeprefix("no "), tmp_path / "bin")
    given["PATH"] = path
    if trouble == "no network":
        (tmp_path / "gh").mkdir()
        socket = tmp_path / "nobody.sock"
        (tmp_path / "gh" / "config.yml").write_text(f"http_unix_socket: {socket}\n", encoding="utf-8")
        given |= {"GH_TOKEN": "a-token"}
    if trouble == "no home":  # nobody, not even root, can write here
        given |= {"HOME": "/proc", "GH_CONFIG_DIR": "/proc/gh"}
    done = run_cookiecutter(template, tmp_path, **given)
    assert done.returncode == 0, done.stderr
    assert f"Error: {error}" in done.stderr
    assert f"Fix: {fix}" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.rstrip().splitlines()[-1] == f"To continue: {Path(sys.executable).name} src/mlops/connect"
    assert read_files(tmp_path / "out") == complete


def test_rendering_over_a_connected_project_does_not_connect_again(template: Path, tmp_path: Path) -> None:
    project = tmp_path / "out" / "credit-risk"
    assert run_cookiecutter(template, tmp_path).returncode == 0
    subprocess.run(["git", "init", "--quiet", project], check=True)
    calls = recorder(tmp_path)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "cookiecutter", str(template), "--no-input", "--overwrite-if-exists"),
            *("--output-dir", str(project.parent), *ANSWERS),
        ],
        env={**os.environ, **calls, "HOME": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not Path(calls["CALLS"]).exists()


def recorder(folder: Path) -> dict[str, str]:
    """Return variables by which every call of gh, az and terraform is recorded, and connecting is agreed to."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("gh", "az", "terraform"):
        (programs / name).write_text(SHIM, encoding="utf-8")
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return {"CALLS": str(folder / "calls"), "PATH": path, "MLOPS_CONNECT_YES": "1"}


def test_the_recorder_sees_calls(template: Path, tmp_path: Path) -> None:
    """Or the test below would prove nothing."""
    calls = recorder(tmp_path)
    assert run_cookiecutter(template, tmp_path, **calls).returncode == 0
    assert "api --include --hostname github.com --method GET user" in Path(calls["CALLS"]).read_text()


def test_cruft_connects_nothing(template: Path, tmp_path: Path) -> None:
    """Create, change the template, update, diff: with consent given, and not one call."""
    calls = {**os.environ, **recorder(tmp_path), "HOME": str(tmp_path), "MLOPS_WEBHOOK": "https://x/planted"}
    git = ["git", "-c", "user.name=Tests", "-c", "user.email=tests@example.com", "-C"]
    source = tmp_path / "template"
    subprocess.run(["git", "clone", "--quiet", template, source], check=True)
    answers = json.dumps(dict(answer.split("=") for answer in ANSWERS))

    def cruft(*words: str | Path, cwd: Path = tmp_path) -> None:
        command = [sys.executable, "-m", "cruft", *words]
        done = subprocess.run(command, cwd=cwd, env=calls, capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    cruft("create", source, "--no-input", "--extra-context", answers)
    project = tmp_path / "credit-risk"
    subprocess.run(["git", "init", "--quiet", project], check=True)
    for folder, message in ((project, "The project"), (source, "A change")):
        if folder == source:
            (source / "{{cookiecutter.project_slug}}" / "data" / "README.md").write_text("Changed.\n")
        subprocess.run([*git, folder, "add", "--all"], check=True)
        subprocess.run([*git, folder, "commit", "--quiet", "--message", message], check=True)
    cruft("update", "--skip-apply-ask", cwd=project)
    assert (project / "data" / "README.md").read_text() == "Changed.\n"
    cruft("diff", cwd=project)
    assert json.loads((project / ".cruft.json").read_text())["context"]["cookiecutter"]["connect"] == "yes"
    assert [name for name, content in read_files(project).items() if b"https://x/planted" in content] == []
    assert not Path(calls["CALLS"]).exists()
