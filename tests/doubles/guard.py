"""Runs a command, and ends it with everything it started when the double is gone: `guard.py LIFELINE COMMAND...`.

LIFELINE is the reading end of a pipe whose writing end only the double holds: the pipe closes however the double ends.
SIGTERM to the guard ends the command too.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE_S = 5
POLL_S = 0.05


def main() -> int:
    """Wait for the command or the end of the double; return the command's exit code."""
    lifeline, command = int(sys.argv[1]), sys.argv[2:]
    process = subprocess.Popen(command)
    over = threading.Event()

    def watch() -> None:
        os.read(lifeline, 1)
        over.set()

    signal.signal(signal.SIGTERM, lambda _signal, _frame: over.set())
    threading.Thread(target=watch, daemon=True).start()
    while process.poll() is None and not over.wait(POLL_S):
        pass
    if over.is_set():
        _end_group(process)
    code = process.wait()
    return code if code >= 0 else 128 - code


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End this process group, itself included: first SIGTERM, then SIGKILL."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    until = time.monotonic() + GRACE_S
    while process.poll() is None and time.monotonic() < until:
        time.sleep(POLL_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
