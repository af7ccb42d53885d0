"""Starts Python programs by forking a process that has already imported the large packages.

`nursery.py SOCKET` runs that process. `nursery.py SOCKET WORKDIR CODE ARGUMENTS...` is a program: it passes on its
environment, output and arguments, and exits with the code of the process forked for it, which ends when it does. Every
program runs in a separate process, like a fresh Python; only the imports are shared.
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

# The libraries that a scoring server imports for a model; none of them reads the environment on import.
PACKAGES = ("mlflow.sklearn", "pandas", "sklearn.ensemble", "sklearn.pipeline", "skops.io")
MAX_REQUEST_BYTES = 1 << 20
GRACE_S = 5
POLL_S = 0.02


def keep(path: str) -> None:
    """Import the packages, then fork for every client."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # let the kernel reap the supervisors
    for name in PACKAGES:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(_supervise(client))
            client.close()


def _supervise(client: socket.socket) -> int:
    """Run the client's program in a separate process, and end it when the client is gone."""
    os.setsid()  # survive the end of the nursery
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, (output, errors), _, _ = socket.recv_fds(client, MAX_REQUEST_BYTES, 2)
    child = os.fork()
    if child == 0:
        client.close()
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        _become(json.loads(text))
    client.setblocking(False)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            client.send(str(os.waitstatus_to_exitcode(status) % 256).encode())
            return 0
        try:
            if client.recv(1) == b"":
                break
        except BlockingIOError:
            time.sleep(POLL_S)
    _end(child)
    return 0


def _end(child: int) -> None:
    """End a process and everything it started: first SIGTERM, then SIGKILL."""
    os.killpg(child, signal.SIGTERM)
    until = time.monotonic() + GRACE_S
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < until:
        time.sleep(POLL_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _become(job: dict[str, Any]) -> NoReturn:
    """Run the program in this process, then exit."""
    from doubles.forked import end_after

    def program() -> None:
        os.environ.clear()
        os.environ.update(job["environment"])
        os.chdir(job["folder"])
        sys.argv = ["-c", *job["arguments"]]
        sys.path[0] = ""
        exec(compile(job["code"], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 -- as `python -c` does

    end_after(program)


def run(path: str, folder: str, code: str, *arguments: str) -> int:
    """Run a program through the nursery; return its exit code."""
    job = {"environment": dict(os.environ), "folder": folder, "code": code, "arguments": arguments}
    with socket.socket(socket.AF_UNIX) as nursery:
        _connect(nursery, path)
        socket.send_fds(nursery, [json.dumps(job).encode()], [1, 2])
        return int(nursery.recv(4) or 1)


def _connect(nursery: socket.socket, path: str) -> None:
    """Connect as soon as the packages are imported."""
    while True:
        try:
            nursery.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(POLL_S)
        else:
            return


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder as the package doubles, not as modules
    if len(sys.argv) == 2:
        keep(sys.argv[1])
    else:
        sys.exit(run(*sys.argv[1:]))
