"""The target on this machine: two processes of Azure ML's inference server behind a router."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import psutil

from mlops.config import Environment, Project
from mlops.errors import ReleaseError
from mlops.lock import FOLDER, file_lock
from mlops.model.registry import Registry, Version
from mlops.outputs import write_json
from mlops.release.client import is_up, last_error, scored_by, send_rows
from mlops.release.pending import read_note, write_note
from mlops.release.target import Answer, EndpointState, PendingRelease, Slot, Tell
from mlops.serving.limits import server_settings
from mlops.waiting import wait_until

STOP_SECONDS: Final = 10
SOURCE: Final = Path(__file__).parents[2]


class LocalTarget:
    """An endpoint in ``.mlops/<environment>``, whose ``state.json`` the router follows.

    A process belongs to the slot whose folder is its working directory, so a server is found
    even if the process that started it was killed at once.
    """

    mirror: int = 0
    keeps_previous: ClassVar[bool] = True

    def __init__(self, project: Project, environment: Environment) -> None:
        self._environment = environment
        self._folder = project.root / FOLDER / environment
        self._project = project
        self._settings = project.endpoint(environment)

    @property
    def address(self) -> str:
        return _url(self._settings.port, "score")

    def describe(self) -> EndpointState:
        """Return the state; a router that has ended is started again if its port is free."""
        state = self._state()
        if state["traffic"]:
            with contextlib.suppress(ReleaseError):
                self._ensure_router()
        slots = {
            slot: Slot(
                kept["version"],
                kept["digest"],
                self._is_up(slot, kept["port"]),
                kept.get("scoring", ""),
            )
            for slot, kept in state["slots"].items()
        }
        pending = read_note(state["release"], self._project.root, self._environment)
        return EndpointState(slots, state["traffic"], pending)

    def prepare(self, version: int, digest: str, model: Path) -> None:
        """Do nothing: a server needs only the model folder."""

    def record_pending(self, release: PendingRelease | None) -> None:
        self._change(release=write_note(release) if release else None)

    def deploy(self, slot: str, version: int, digest: str, model: Path) -> None:
        self._check_port()  # before starting a server, which takes seconds
        self.remove(slot)
        home = self._folder / slot
        # As on Azure ML, the folders' names tell the scoring script which model it serves.
        served = home / "azureml-models" / self._project.project / str(version)
        shutil.copytree(model, served / "model")
        port = _free_port()
        environment = {
            "AZUREML_MODEL_DIR": str(served),
            "AML_APP_ROOT": str(SOURCE),
            "SCORING_TIMEOUT_MS": str(int(self._settings.timeout_s * 1000)),
            **server_settings(self._project, digest),
        }
        script = str(SOURCE / "mlops" / "serving" / "score.py")
        command = ["mlops.release.loopback_server", "--port", str(port), "--entry_script", script]
        self._start(f"Version {version}", home, port, command, environment)
        slots = self._state()["slots"]
        content = {
            "version": version,
            "digest": digest,
            "port": port,
            "timeout_s": self._settings.timeout_s,
            "scoring": scored_by(_read_log(home)),
        }
        self._change(slots={**slots, slot: content})
        self._ensure_router()

    def set_traffic(
        self, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None
    ) -> None:
        nonzero = {slot: percent for slot, percent in traffic.items() if percent}
        self._change(traffic=nonzero)
        if nonzero:
            self._ensure_router()

    def invoke(self, body: bytes, slot: str | None = None) -> Answer:
        url = _url(self._state()["slots"][slot]["port"], "score") if slot else self.address
        return send_rows(url, body, self._settings.timeout_s + 1)  # the server times out first

    def remove(self, slot: str) -> None:
        _stop(self._folder / slot)
        slots = {name: kept for name, kept in self._state()["slots"].items() if name != slot}
        self._change(slots=slots)
        shutil.rmtree(self._folder / slot, ignore_errors=True)

    def stop(self) -> bool:
        """Stop all servers and delete the endpoint; return whether it existed."""
        existed = self._folder.exists()
        for name in ("router", "blue", "green"):
            _stop(self._folder / name)
        shutil.rmtree(self._folder, ignore_errors=True)
        return existed

    def _state(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"slots": {}, "traffic": {}, "release": None}
        try:
            return {**empty, **json.loads((self._folder / "state.json").read_text("utf-8"))}
        except FileNotFoundError:
            return empty

    def _change(self, **values: Any) -> None:
        write_json(self._folder / "state.json", {**self._state(), **values})

    def _is_up(self, part: str, port: int) -> bool:
        """Return whether our own process answers; the port may now be another program's."""
        return any(_processes(self._folder / part)) and is_up(_url(port))

    def _ensure_router(self) -> None:
        port, home = self._settings.port, self._folder / "router"
        with file_lock(self._folder, "router"):  # `mlops status` may start it too
            if self._is_up("router", port):
                return
            _stop(home)
            self._check_port()
            command = ["mlops.release.router", str(self._folder / "state.json"), str(port)]
            self._start("The router", home, port, command, {})

    def _check_port(self) -> None:
        port = self._settings.port
        if not any(_processes(self._folder / "router")) and not _is_free(port):
            raise ReleaseError(
                f"Port {port} is in use by another program.",
                "Stop that program (`mlops stop` in another project?), or change "
                f"serving.{self._environment}.port in project.yml.",
            )

    def _start(
        self, what: str, home: Path, port: int, command: list[str], environment: dict[str, str]
    ) -> None:
        """Start a server in the folder ``home``, and wait until it answers."""
        process = _spawn(command, home, environment)
        seconds = self._settings.start_timeout_s

        def look() -> str:
            if process.poll() is not None:
                return "ended"
            return "up" if is_up(_url(port)) else "starting"

        state = wait_until(lambda state: state != "starting", look, seconds)
        if state == "ended":
            raise ReleaseError(f"{what} failed to start: {_reason(home)}")
        if state == "starting":
            _stop(home)
            raise ReleaseError(
                f"{what} was not ready within {seconds:g} s: {_reason(home)}",
                f"If it only needs more time, raise serving.{self._environment}.start_timeout_s "
                "in project.yml.",
            )


class LocalPlatform:
    """One registry, and servers on ports of this machine."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def registry(self, environment: Environment) -> Registry:
        return Registry(self._project)

    def target(self, environment: Environment) -> LocalTarget:
        return LocalTarget(self._project, environment)

    def promote(self, version: Version, environment: Environment, tell: Tell) -> Version:
        return self.registry(environment).version(version.number)

    def after_release(self, version: Version, environment: Environment, tell: Tell) -> None:
        """Do nothing: only the endpoint depends on the version."""


def _spawn(command: list[str], home: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a Python module as a process that outlives this one and logs to ``home``.log."""
    home.mkdir(parents=True, exist_ok=True)
    detached: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        detached = {
            "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
        }
    _log(home).write_bytes(b"")
    with _log(home).open("ab") as log:  # appending, so that the router can cut it
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=home,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **detached,
        )


def _stop(home: Path) -> None:
    """End all processes of a folder, by force if they do not terminate."""
    processes = list(_processes(home))
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        _, processes = psutil.wait_procs(processes, timeout=STOP_SECONDS)


def _processes(home: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        cwd = ""
        with contextlib.suppress(psutil.Error, OSError):  # another user's, or just ended
            cwd = process.cwd()
        if cwd and Path(cwd) == home and process.pid != os.getpid():
            yield process


def _is_free(port: int) -> bool:
    """Return whether a server can listen on a port, whatever else may answer there."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _url(port: int, path: str = "") -> str:
    return f"http://127.0.0.1:{port}/{path}"


def _log(home: Path) -> Path:
    """Return the log's path: beside the slot's folder, so that it survives the slot."""
    return home.with_suffix(".log")


def _reason(home: Path) -> str:
    """Return the last error in a server's log, and the log's path."""
    return f"{last_error(_read_log(home))} (see {_log(home)})"


def _read_log(home: Path) -> str:
    try:
        return _log(home).read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
