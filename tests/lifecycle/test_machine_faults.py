"""Faults of the machine and of files are said in one line, with what to do, and nothing is lost."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import mlops
import pytest
from conftest import WARM, Toy, make_toy, run_command
from hypothesis import example, given
from hypothesis import strategies as st
from mlops import errors
from mlops.config import load_project
from mlops.errors import ConfigError, safe

PAGE = 4096


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_toy(tmp_path_factory.mktemp("base"))
    made.mlops("run")
    return made.root


@pytest.fixture
def ran(base: Path, tmp_path: Path) -> Toy:
    """Copy a project with version 1; another model is to be trained."""
    copied = Toy(Path(shutil.copytree(base, tmp_path / "project")))
    copied.model("Columns", width=2)
    return copied


def run_limited(arguments: list[str], output: Any, largest: int, user: int) -> None:
    """Run a command whose files cannot grow beyond ``largest`` bytes, as another user if ``user`` is not 0."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    if user:
        for module in pkgutil.walk_packages(mlops.__path__, "mlops."):  # which that user may not read
            if not module.name.startswith(("mlops.azure", "mlops.serving", "mlops.__main__", "mlops.release.loop")):
                importlib.import_module(module.name)
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    run_command(arguments, output)


def attempt(toy: Toy, *arguments: str, largest: int = 0, user: int = 0) -> tuple[int, str]:
    """Return a command's exit code and what it said."""
    read, write = WARM.Pipe(duplex=False)
    words = ["--project", str(toy.root), *arguments]
    process = WARM.Process(target=run_limited, args=(words, write, largest, user))
    process.start()
    write.close()
    with read, open(read.fileno(), encoding="utf-8", closefd=False) as output:
        said = output.read()
    process.join()
    return process.exitcode or 0, said


def assert_said(said: str) -> None:
    """Check that a fault was told in one line, with what to do."""
    assert "Traceback" not in said
    assert len(re.findall(r"^Error: .+$", said, re.MULTILINE)) == 1, said
    assert len(re.findall(r"^Fix: .+$", said, re.MULTILINE)) == 1, said


FULL = """
set -e
mount -t tmpfs -o size="$4"k none "$1"
cp -a "$2"/. "$1"
set +e
"$3" -m mlops --project "$1" run 2>&1
code=$?
cp -a "$1"/. "$2"
exit $code
"""


@pytest.mark.parametrize("kilobytes", [0, 16, 64, 128, 256, 512, 1024])
def test_a_disk_that_is_full_loses_nothing(ran: Toy, tmp_path: Path, kilobytes: int) -> None:
    """Run in a file system of its own, which has this much space left."""
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("unshare may not mount a file system here")
    disk = tmp_path / "disk"
    disk.mkdir()
    used = sum(-(-file.stat().st_size // PAGE) * 4 for file in ran.root.rglob("*") if file.is_file())
    size = used + 4 * sum(1 for _ in ran.root.rglob("*")) + kilobytes
    words = ["unshare", "-rm", "sh", "-c", FULL, "sh", str(disk), str(ran.root), sys.executable, str(size)]
    done = subprocess.run(words, check=False, capture_output=True, encoding="utf-8")
    said = done.stdout + done.stderr
    if done.returncode in (0, 3):  # there was enough space
        assert kilobytes > 64
        return
    assert done.returncode in (1, 2), said
    assert_said(said)
    assert "space" in said
    known = [1, 2] if "Registered as toy version 2." in said else [1]
    assert ran.stages() == dict.fromkeys(known, "registered")
    ran.mlops("run", "--replace-champion", "the disk was full")
    assert ran.stages() == {1: "registered", 2: "registered"}


@pytest.mark.parametrize("kilobytes", [0.1, 4, 64])
def test_a_file_that_cannot_grow_loses_nothing(ran: Toy, kilobytes: float) -> None:
    code, said = attempt(ran, "run", largest=int(kilobytes * 1024))
    assert code in (1, 2), said
    assert_said(said)
    assert ran.stages() == {1: "registered"}
    ran.mlops("run", "--replace-champion", "the disk was full")
    assert ran.stages() == {1: "registered", 2: "registered"}


def test_a_folder_that_cannot_be_written_is_named(ran: Toy) -> None:
    nobody = 65534 if os.getuid() == 0 else 0
    for folder in (ran.root, *ran.root.parents[:3]):
        folder.chmod(0o755)
    for file in ran.root.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    if not nobody:
        ran.root.chmod(0o555)
        (ran.root / "outputs").chmod(0o555)
        (ran.root / ".mlops").chmod(0o555)
    try:
        for verb in ("validate", "run", "evaluate", "report", "register"):
            code, said = attempt(ran, verb, user=nobody)
            assert code in (1, 2), said
            assert_said(said)
            assert str(ran.root) in said
    finally:
        ran.root.chmod(0o755)


@pytest.mark.parametrize("page", [0, 1, 2, 5, 20, 60, 100, -1])
def test_a_damaged_store_is_said(ran: Toy, page: int) -> None:
    store = ran.root / "mlflow.db"
    content = bytearray(store.read_bytes())
    start = page * PAGE if page >= 0 else len(content) - PAGE
    content[start : start + PAGE] = bytes(PAGE)
    store.write_bytes(content)
    for verb in (["status"], ["run"], ["history"], ["deploy", "staging", "--version", "7"]):
        code, said = attempt(ran, *verb)
        assert "Traceback" not in said, said
        assert code in (0, 1, 2, 3)
        assert code in (0, 3) or "Fix: " in said or "no version 7" in said, said
    assert store.exists()


def test_every_page_that_holds_the_registry_is_missed(ran: Toy) -> None:
    """No damage is taken for an empty registry."""
    store = ran.root / "mlflow.db"
    content = store.read_bytes()
    with sqlite3.connect(store) as database:
        tables = "SELECT pageno FROM dbstat WHERE name IN ('model_versions', 'model_version_tags', 'experiments')"
        try:
            pages = [number for (number,) in database.execute(tables)]
        except sqlite3.OperationalError:  # an sqlite without dbstat
            roots = "SELECT rootpage FROM sqlite_master WHERE name IN ('model_versions', 'experiments')"
            pages = [number for (number,) in database.execute(roots)]
    assert pages
    for number in pages:
        store.write_bytes(content[: (number - 1) * PAGE] + bytes(PAGE) + content[number * PAGE :])
        code, said = attempt(ran, "status")
        assert code == 2, said
        assert "restore a copy" in said


@pytest.mark.parametrize("verb", ["status", "run", "history", "rollback"])
def test_an_empty_store_is_not_taken_for_a_new_one(ran: Toy, verb: str) -> None:
    (ran.root / "mlflow.db").write_bytes(b"")
    said = ran.mlops(verb, code=2).output
    assert "mlflow.db is empty: the registry that it held is lost." in said
    assert (ran.root / "mlflow.db").read_bytes() == b""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 3000, "is nested too deeply"),
        ("a: " + "{b: " * 2000, "is nested too deeply"),
        ("azure:\n  date: 2026-99-99\n", "is not valid YAML"),
        ("azure: {time: 2026-01-01 99:99:99}\n", "is not valid YAML"),
        ("a: !!int x\n", "is not valid YAML"),
        ("a: !!python/object/apply:os.system [id]\n", "is not valid YAML"),
        ("a: &a [*a]\n", "errors"),
        ("\x00", "is not valid YAML"),
        ("{a: b}: c\n", "is not valid YAML"),
    ],
)
def test_a_strange_project_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "project.yml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=words):
        load_project(tmp_path)


@pytest.mark.parametrize("path", ["../rows.csv", "/etc/passwd", "data/../../rows.csv", "..", "a/../.."])
def test_data_outside_the_project_is_refused(ran: Toy, path: str) -> None:
    ran.set(data={"path": path})
    said = ran.mlops("validate", code=2).output
    assert "data.path" in said
    assert "--data" in said


@pytest.mark.parametrize(
    "estimator", ["os.system", "builtins.print", "os.path.join", "pathlib.Path", "subprocess.Popen"]
)
def test_what_is_no_estimator_is_never_called(ran: Toy, estimator: str) -> None:
    ran.set(model={"estimator": estimator, "params": {"command": f"touch {ran.root}/called", "args": ["true"]}})
    said = ran.mlops("run", code=2).output
    assert f"model.estimator {estimator} is not an estimator's class" in said
    assert not (ran.root / "called").exists()


COMMANDS = ["##vso[task.setvariable variable=x]y", "::stop-commands::t", "::set-output name=a::b", "##[error]x"]


@given(text=st.text(max_size=40))
@example("\x1b]0;title\x07\x1b[2J")
@example("\u202eevil")
@example(COMMANDS[0])
@example(COMMANDS[1])
@example(f"a {COMMANDS[2]}\n  {COMMANDS[1]}")
@example("##[group]##vso[a]::a::b")
def test_printed_text_contains_neither_escapes_nor_commands(text: str) -> None:
    found = safe(text)
    assert all(character.isprintable() or character in "\n\t" for character in found)
    assert not re.search(r"##\w*\[", found)
    assert not re.search(r"::[\w-]+.*::", found)
    found.encode("utf-8")
    assert safe(found) == found


@pytest.mark.parametrize("command", COMMANDS)
def test_cells_cannot_command_a_terminal_or_a_ci_system(ran: Toy, command: str) -> None:
    rows = (ran.root / "rows.csv").read_text("utf-8").splitlines()
    first = rows[1].split(",")
    first[4] = f"\x1b[31m{command}"
    (ran.root / "rows.csv").write_text("\n".join([rows[0], ",".join(first), *rows[2:]]), "utf-8")
    said = ran.mlops("validate", code=1).output
    assert command not in said
    assert "\x1b" not in said
    assert "\\x1b[31m" in said.replace("\n", "")


@pytest.mark.parametrize("address", ["postgresql://me:hunter2@127.0.0.1:1/x", "http://me:hunter2@127.0.0.1:1"])
def test_a_password_in_the_stores_address_is_not_printed(
    ran: Toy, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.model.tracking._GIVEN_STORE", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    try:
        for verb in ("status", "run", "history"):
            said = ran.mlops(verb, code=2).output
            assert "hunter2" not in said
            assert "cannot be used" in said
    finally:
        mlflow.set_tracking_uri(before)


def test_a_fault_that_nobody_expected_is_said_and_debug_shows_it() -> None:
    explained = errors.explain(ZeroDivisionError("division by zero"))
    assert "ZeroDivisionError: division by zero" in str(explained)
    assert "--debug" in explained.fix
