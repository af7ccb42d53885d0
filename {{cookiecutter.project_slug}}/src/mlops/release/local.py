"""The target on this machine: two processes of Azure ML's inference server behind a router."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import psutil

from mlops.config import Endpoint
from mlops.errors import ReleaseError
from mlops.outputs import write_json
from mlops.release.client import send_rows
from mlops.release.log import last_error
from mlops.release.target import Answer, EndpointState, PendingRelease, Slot

STOP_SECONDS = 10


class LocalTarget:
    """An endpoint under ``folder``; its ``state.json`` is what the router follows.

    Processes are known by their working directory, which is their slot's folder: so even a
    server whose starter was killed before it could note anything is found again.
    """

    mirrors: ClassVar[bool] = False
    keeps_previous: ClassVar[bool] = True

    def __init__(self, folder: Path, name: str, endpoint: Endpoint) -> None:
        self._folder = folder
        self._name = name
        self._endpoint = endpoint

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._endpoint.port}/score"

    def describe(self) -> EndpointState:
        state = self._state()
        slots = {
            slot: Slot(kept["version"], kept["digest"], self._is_up(slot, kept["port"]))
            for slot, kept in state["slots"].items()
        }
        pending = state["release"]
        if pending:
            owner = pending.pop("owner")
            if _is_running(*owner) and owner[0] != os.getpid():
                raise ReleaseError(
                    f"Another release (process {owner[0]}) is under way.",
                    "Wait until it has ended.",
                )
            pending = PendingRelease(**pending)
        return EndpointState(slots, state["traffic"], pending)

    def record_pending(self, release: PendingRelease | None) -> None:
        me = [os.getpid(), psutil.Process().create_time()]
        self._change(release={**asdict(release), "owner": me} if release else None)

    def deploy(self, slot: str, version: int, digest: str, model: Path) -> None:
        self._refuse_taken_port()  # before a server is started, which takes seconds
        self.remove(slot)
        home = self._folder / slot
        # The folders' names tell the scoring script which model it serves, as on Azure ML.
        served = home / "azureml-models" / self._name / str(version)
        shutil.copytree(model, served / "model")
        port = _free_port()
        source = Path(__file__).parent
        environment = {
            **os.environ,
            "AZUREML_MODEL_DIR": str(served),
            "AML_APP_ROOT": str(source.parents[1]),
            "SCORING_TIMEOUT_MS": str(int(self._endpoint.timeout_s * 1000)),
        }
        command = ["-m", "mlops.release.loopback_server", "--port", str(port)]
        process = _start(
            [*command, "--entry_script", str(source.parent / "serving" / "score.py")],
            home,
            environment,
        )
        self._wait_until_ready(process, port, home, f"Version {version}")
        slots = self._state()["slots"]
        self._change(slots={**slots, slot: {"version": version, "digest": digest, "port": port}})
        self._ensure_router()

    def set_traffic(
        self, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None
    ) -> None:
        self._change(traffic={slot: share for slot, share in traffic.items() if share})
        self._ensure_router()

    def invoke(self, body: bytes, slot: str | None = None) -> Answer:
        url = self.address
        if slot:
            url = f"http://127.0.0.1:{self._state()['slots'][slot]['port']}/score"
        return send_rows(url, body, self._endpoint.timeout_s + 1)  # the server gives up first

    def remove(self, slot: str) -> None:
        _stop(self._folder / slot)
        slots = {name: kept for name, kept in self._state()["slots"].items() if name != slot}
        self._change(slots=slots)
        shutil.rmtree(self._folder / slot, ignore_errors=True)

    def stop(self) -> bool:
        """Stop all servers and forget the endpoint; False if there was none."""
        there = self._folder.exists()
        for name in ("router", "blue", "green"):
            _stop(self._folder / name)
        shutil.rmtree(self._folder, ignore_errors=True)
        return there

    def _state(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"slots": {}, "traffic": {}, "release": None}
        try:
            return {**empty, **json.loads((self._folder / "state.json").read_text("utf-8"))}
        except FileNotFoundError:
            return empty

    def _change(self, **values: Any) -> None:
        write_json(self._folder / "state.json", {**self._state(), **values})

    def _is_up(self, part: str, port: int) -> bool:
        """Whether our own process answers; another program may hold the port by now."""
        return any(_processes(self._folder / part)) and self._answers(port)

    def _answers(self, port: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, http.client.HTTPException):
            return False

    def _ensure_router(self) -> None:
        port, home = self._endpoint.port, self._folder / "router"
        if self._is_up("router", port):
            return
        _stop(home)
        self._refuse_taken_port()
        command = ["-m", "mlops.release.router", str(self._folder / "state.json"), str(port)]
        self._wait_until_ready(_start(command, home, dict(os.environ)), port, home, "The router")

    def _refuse_taken_port(self) -> None:
        port = self._endpoint.port
        if not any(_processes(self._folder / "router")) and self._answers(port):
            raise ReleaseError(
                f"Port {port} is taken by another program.",
                "Stop that (`mlops stop` in another project?), or change the port in project.yml.",
            )

    def _wait_until_ready(
        self, process: subprocess.Popen[bytes], port: int, home: Path, what: str
    ) -> None:
        until = time.monotonic() + self._endpoint.start_timeout_s
        while time.monotonic() < until:
            if process.poll() is not None:
                raise ReleaseError(f"{what} ended at its start: {_reason(home)}")
            if self._answers(port):
                return
            time.sleep(0.1)
        _stop(home)
        raise ReleaseError(
            f"{what} was not ready within {self._endpoint.start_timeout_s:g} s: {_reason(home)}",
            "Raise serving.*.start_timeout_s in project.yml if it only needs longer.",
        )


def _start(command: list[str], home: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a Python process that outlives this one, logging to ``home``.log."""
    home.mkdir(parents=True, exist_ok=True)
    detached: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        detached = {
            "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
        }
    with _log(home).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **detached,
        )


def _stop(home: Path) -> None:
    """End all processes of a folder: politely, then by force."""
    processes = list(_processes(home))
    for process in processes:
        _ignore_gone(process.terminate)
    _, left = psutil.wait_procs(processes, timeout=STOP_SECONDS)
    for process in left:
        _ignore_gone(process.kill)
    psutil.wait_procs(left, timeout=STOP_SECONDS)


def _ignore_gone(action: Any) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        action()


def _processes(home: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        cwd = ""
        with contextlib.suppress(psutil.Error, OSError):  # it is another's, or ends at this moment
            cwd = process.cwd()
        if cwd and Path(cwd) == home and process.pid != os.getpid():
            yield process


def _is_running(pid: int, created: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - created) < 1
    except psutil.NoSuchProcess:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _log(home: Path) -> Path:
    """The log lies beside the slot's folder, so that it outlives a slot that is removed."""
    return home.with_suffix(".log")


def _reason(home: Path) -> str:
    """Why a server ended: the last error in its log, and where to read on."""
    log = _log(home).read_text("utf-8", errors="replace")
    return f"{last_error(log)} (see {_log(home)})"
