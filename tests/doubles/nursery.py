"""Starts Python programs that need the large packages from one process that has imported them, by forking it.

`nursery.py SOCKET` keeps that process. `nursery.py SOCKET WORKDIR CODE ARGUMENTS...` is the program: it hands over its
environment, its output and its arguments, and ends with the exit code of the process forked for it, which ends with it.
Every program is a process of its own, as if Python had been started anew; only the imports are shared.
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

# What a scoring server imports of a model's libraries; none of them reads the environment of who imports it.
PACKAGES = ("mlflow.sklearn", "pandas", "sklearn.ensemble", "sklearn.pipeline", "skops.io")
MOST = 1 << 20
GRACE_S = 5
LOOK_S = 0.02


def keep(path: str) -> None:
    """Import the packages, and fork for whoever asks, until this process is ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks for the keepers' exit codes
    for name in PACKAGES:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            asking, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(_look_after(asking))
            asking.close()


def _look_after(asking: socket.socket) -> int:
    """Run what is asked for in a process of its own; end it when whoever asked is gone."""
    os.setsid()  # whoever ends the nursery leaves this process to do its work
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, (output, errors), _, _ = socket.recv_fds(asking, MOST, 2)
    child = os.fork()
    if child == 0:
        asking.close()
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        _be(json.loads(text))
    asking.setblocking(False)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            asking.send(str(os.waitstatus_to_exitcode(status) % 256).encode())
            return 0
        try:
            if asking.recv(1) == b"":
                break
        except BlockingIOError:
            time.sleep(LOOK_S)
    _end(child)
    return 0


def _end(child: int) -> None:
    """End a process and all that it started: politely, then by force."""
    os.killpg(child, signal.SIGTERM)
    until = time.monotonic() + GRACE_S
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < until:
        time.sleep(LOOK_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _be(asked: dict[str, Any]) -> NoReturn:
    """Be the program: this process ends with it."""
    from doubles.forked import end_after

    def program() -> None:
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.argv = ["-c", *asked["arguments"]]
        sys.path[0] = ""
        exec(compile(asked["code"], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 -- as `python -c` does

    end_after(program)


def ask(path: str, folder: str, code: str, *arguments: str) -> int:
    """Have a program run; returns its exit code."""
    asked = {"environment": dict(os.environ), "folder": folder, "code": code, "arguments": arguments}
    with socket.socket(socket.AF_UNIX) as nursery:
        _connect(nursery, path)
        socket.send_fds(nursery, [json.dumps(asked).encode()], [1, 2])
        return int(nursery.recv(4) or 1)


def _connect(nursery: socket.socket, path: str) -> None:
    """Connect, once the packages are imported."""
    while True:
        try:
            nursery.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(LOOK_S)
        else:
            return


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder as the package doubles, not as modules
    if len(sys.argv) == 2:
        keep(sys.argv[1])
    else:
        sys.exit(ask(*sys.argv[1:]))
