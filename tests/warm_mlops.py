"""Runs `mlops` commands in the environment of a rendered project, without its slow imports each time.

`warm_mlops.py` reads lines of JSON, each the arguments of one command, and answers each with its exit code and what it
said. Every command is a process of its own, as on a terminal, but forked from one that has imported the large packages.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

from doubles.forked import end_after


@dataclass(frozen=True)
class Said:
    """How a command ended, and all that it said, standard error included."""

    code: int
    text: str

    @property
    def last_line(self) -> str:
        return self.text.strip().splitlines()[-1]


class Mlops:
    """The command line of the project in ``root``."""

    def __init__(self, root: Path, process: subprocess.Popen[str]) -> None:
        self.root = root
        self._process = process

    def __call__(self, *arguments: str, code: int = 0) -> Said:
        """Run a command; an exit code other than expected shows all that it said."""
        said = self.attempt(*arguments)
        assert said.code == code, f"mlops {' '.join(arguments)} exited with {said.code}:\n{said.text}"
        return said

    def attempt(self, *arguments: str) -> Said:
        """Run a command, however it ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that starts the commands has ended"
        return Said(**json.loads(line))


@contextmanager
def warm_mlops(python: Path, root: Path, environment: Mapping[str, str]) -> Iterator[Mlops]:
    """Keep a project's command line ready as long as the block lasts.

    Parameters
    ----------
    python :
        The Python of an environment with the requirements of a rendered project.
    root :
        The project's folder.
    environment :
        Variables to lay over this process's own.
    """
    own = {**os.environ, **environment, "PYTHONPATH": str(root / "src")}
    command = [str(python), str(Path(__file__).resolve())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=own, cwd=root, encoding="utf-8"
    ) as process:
        try:
            yield Mlops(root, process)
        finally:
            process.terminate()


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for name in ("azure.ai.ml", "azure.identity", "mlflow.sklearn", "pandas", "sklearn.ensemble", "skops.io"):
        importlib.import_module(name)
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            child = os.fork()
            if child == 0:
                _run(json.loads(line), said)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said.seek(0)
            answers.write(json.dumps({"code": code, "text": said.read()}) + "\n")
            answers.flush()


def _run(arguments: list[str], said: TextIO) -> NoReturn:
    """Be the command: this process ends with it."""

    def command() -> None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        importlib.import_module("mlops.cli").main(arguments)

    end_after(command)


if __name__ == "__main__":
    main()
