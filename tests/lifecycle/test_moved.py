"""A project can be copied, moved, renamed, restored and cloned: it uses its own files, and no others."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import mlflow
import pytest
from conftest import Toy, processes_below
from mlops.config import load_project
from mlops.model.registry import Registry


def copy(project: Path, place: Path) -> None:
    shutil.copytree(project, place)


def move(project: Path, place: Path) -> None:
    shutil.copytree(project, place.with_name("before"))
    Toy(place.with_name("before")).mlops("status")  # at home there first
    place.with_name("before").rename(place)


def restore(project: Path, place: Path) -> None:
    archive = shutil.make_archive(str(place.parent / "backup"), "zip", project)
    with zipfile.ZipFile(archive) as file:
        file.extractall(place)
    Path(archive).unlink()


def link(project: Path, place: Path) -> None:
    shutil.copytree(project, place.parent / "real")
    place.symlink_to("real", target_is_directory=True)


def clone(project: Path, place: Path) -> None:
    def git(*args: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *args], check=True, capture_output=True)

    source = place.parent / "source"
    shutil.copytree(project, source)
    (source / ".gitignore").write_text("outputs/\n.mlops/\nmlflow.db*\nmlruns/\n__pycache__/\n", "utf-8")
    git("-C", str(source), "init", "-q")
    git("-C", str(source), "add", "-A")
    git("-C", str(source), "commit", "-qm", "all")
    git("clone", "-q", str(source), str(place))
    shutil.rmtree(source)


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "a b 100%": copy,
    "a%20b & c": move,
    "which?": restore,
    "a#1;x=y": copy,
    "\u00fcn\u00ef \u4fe1\u7528 'q' (1)": clone,
    "[a] $HOME ~ `id`": link,
}


class Seen(NamedTuple):
    """What a file's entry looks like."""

    digest: str
    changed: int


def seen(folder: Path) -> dict[str, Seen]:
    """Return all files below a folder, with content and time of change."""
    return {
        str(file.relative_to(folder)): Seen(hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("name", WAYS)
def test_a_project_elsewhere_uses_its_own_files_only(
    serving: Toy, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    original = serving.root  # version 1 is in production, and its servers run
    WAYS[name](original, tmp_path / "in" / name)
    before, cwd = seen(original), tmp_path / "cwd"
    cwd.mkdir()
    monkeypatch.chdir(cwd)
    project = Toy(tmp_path / "in" / name)
    project.use_free_ports()
    try:
        known = 0 if WAYS[name] is clone else 1
        assert set(project.stages()) == set(range(1, known + 1))
        if known:  # the registered files are there, and unchanged
            project.mlops("deploy", "production", "--version", "1", "--yes")
        for width in (3,) if known else (2, 3):
            project.model("Columns", width=width)
            project.mlops("run", "--replace-champion", "as we test")
            project.mlops("release", "--yes")
        assert project.stages() == {1: "retired", 2: "production"}
        project.mlops("rollback")
        assert project.stages() == {1: "production", 2: "withdrawn"}
        project.mlops("report")
        versions = Registry(load_project(project.root)).versions()
        runs = [mlflow.get_run(version.run_id) for version in versions]
        folder = (project.root.resolve() / "mlruns").as_uri()
        assert all(run.info.artifact_uri == f"{folder}/{run.info.run_id}/artifacts" for run in runs)
    finally:
        project.mlops("stop")
    assert not list(processes_below(project.root))
    assert not list(cwd.iterdir())
    real = {"real"} if WAYS[name] is link else set()
    assert {file.name for file in (tmp_path / "in").iterdir()} == {name} | real
    assert seen(original) == before


def test_a_copy_of_the_store_alone_does_not_use_the_originals_files(serving: Toy, tmp_path: Path) -> None:
    original = serving.root
    copied = Toy(Path(shutil.copytree(original, tmp_path / "copy", ignore=shutil.ignore_patterns("mlruns"))))
    before = seen(original)
    copied.model("Columns", width=2)
    copied.mlops("run", code=3)
    said = copied.mlops("deploy", "staging", "--version", "1", code=1).output
    assert "files are missing" in said
    assert "changed after registration" not in said
    assert seen(original) == before
