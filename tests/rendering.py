"""The template's questions, options and files, and renders by the command line."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from variants.findings import Answers
from variants.matrix import all_variants, pairwise

ROOT = Path(__file__).resolve().parent.parent
CONTEXT = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
QUESTIONS = {name: default for name, default in CONTEXT.items() if not name.startswith("_")}
OPTIONS: dict[str, list[str]] = {name: value for name, value in QUESTIONS.items() if isinstance(value, list)}
VARIANTS, _ = all_variants(ROOT)
# A few variants that cover every pair of choices, for tests too slow for all variants.
PAIRWISE = pairwise(VARIANTS)

Render = Callable[[Answers], Path]
RunOnce = Callable[[Path, Callable[[str], bool], str], subprocess.CompletedProcess[str]]


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, without the user's configuration; return what it prints."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    settings = ["user.name=Tests", "user.email=tests@example.com", "safe.directory=*"]
    command = ["git", "-C", str(folder), *(word for setting in settings for word in ("-c", setting)), *arguments]
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, encoding="utf-8").stdout


def copy_working_tree(destination: Path, source: Path = ROOT) -> None:
    """Copy the tracked and untracked files, without the ignored ones."""
    for name in git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (source / name).is_file():
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, destination / name)


def as_git_repository(source: Path, destination: Path) -> None:
    """Copy a template's working tree, without ignored files, into a repository of one commit."""
    destination.mkdir(parents=True, exist_ok=True)
    copy_working_tree(destination, source)
    git(destination, "init", "--quiet")
    git(destination, "add", "--all")
    git(destination, "commit", "--quiet", "--message", "The working tree")


def load_naming() -> ModuleType:
    """Import mlops.naming alone; the rest of the package needs the environment of a project."""
    file = ROOT / "{{cookiecutter.project_slug}}" / "src" / "mlops" / "naming.py"
    spec = importlib.util.spec_from_file_location("mlops_naming", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


def run_cookiecutter(
    template: Path | str, home: Path, *arguments: str, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Render into home/out by the command line, on an ASCII terminal and with home as its home folder."""
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template), "--output-dir", str(home / "out"), *arguments],
        cwd=folder,
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
