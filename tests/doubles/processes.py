"""The double's processes: model servers, jobs, containers. None outlives the double, even when it is killed."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
NURSERY = Path(__file__).with_name("nursery.py")
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "OMP_NUM_THREADS")


class Child:
    """A running command, with its output in a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def code(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        return self._process.wait()

    def stop(self) -> None:
        """Stop the command and everything it started."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        self._process.wait()

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class Processes:
    """Starts commands, and stops those still running when the double ends."""

    def __init__(self) -> None:
        self._lifeline, self._held = os.pipe()
        self._children: list[Child] = []
        self._nursery: Path | None = None
        self._lock = threading.RLock()

    def start_python(
        self, code: str, arguments: Sequence[str | Path], cwd: Path, log: Path, environment: Mapping[str, str]
    ) -> Child:
        """Run Python code like `python -c`, without importing the large packages each time."""
        words = [sys.executable, NURSERY, self._running_nursery(), cwd, code, *arguments]
        return self.start(words, cwd, log, environment)

    def _running_nursery(self) -> Path:
        with self._lock:
            if self._nursery is None:
                folder = Path(tempfile.mkdtemp(prefix="nursery-"))  # a socket's path must be short
                self._nursery = folder / "socket"
                command: list[str | Path] = [sys.executable, NURSERY, self._nursery]
                self.start(command, folder, folder / "log", {"MLFLOW_DISABLE_TELEMETRY": "true"})
            return self._nursery

    def start(self, command: Sequence[str | Path], cwd: Path, log: Path, environment: Mapping[str, str]) -> Child:
        """Start a command with a plain environment."""
        log.parent.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, str(GUARD), str(self._lifeline), *map(str, command)]
        with log.open("ab") as output:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env={**plain_environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(self._lifeline,),
            )
        child = Child(process, log)
        with self._lock:
            self._children.append(child)
        return child

    def stop_all(self) -> None:
        """Stop every command, all at the same time."""
        with self._lock:
            children, self._children = self._children, []
        for child in children:
            if child.code is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child._process.pid, signal.SIGTERM)
        for child in children:
            child.wait()
        if self._nursery:
            shutil.rmtree(self._nursery.parent, ignore_errors=True)


def plain_environment() -> dict[str, str]:
    """Return the environment of a fresh machine: this Python first on the PATH, nothing that configures clients."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    """Return a port that is currently free."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return ports that are free and differ, which two calls one after the other do not promise."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


def wait_until_ready(child: Child, url: str, seconds: float) -> bool:
    """Return whether a server answers 200 before it ends or the time is up."""
    until = time.monotonic() + seconds
    while child.code is None and time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return True
        time.sleep(0.05)
    return False
