"""Runs `mlops` commands in a rendered project's environment, without importing the large packages each time.

`warm_mlops.py` reads lines of JSON, each the arguments of one command, and answers with its exit code and output. Every
command runs in a separate process, forked from one that has already imported the large packages.
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
    """A command's exit code and output, standard error included."""

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
        """Run a command and check its exit code; a wrong one shows the output."""
        result = self.attempt(*arguments)
        assert result.code == code, f"mlops {' '.join(arguments)} exited with {result.code}:\n{result.text}"
        return result

    def attempt(self, *arguments: str) -> Said:
        """Run a command with any exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that starts the commands has ended"
        return Said(**json.loads(line))


@contextmanager
def warm_mlops(python: Path, root: Path, environment: Mapping[str, str]) -> Iterator[Mlops]:
    """Keep a project's command line ready until the block ends.

    Parameters
    ----------
    python :
        The Python of an environment with the requirements of a rendered project.
    root :
        The project's folder.
    environment :
        Variables to add to this process's environment.
    """
    variables = {**os.environ, **environment, "PYTHONPATH": str(root / "src")}
    command = [str(python), str(Path(__file__).resolve())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, cwd=root, encoding="utf-8"
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
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            child = os.fork()
            if child == 0:
                _run(json.loads(line), output)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            output.seek(0)
            answers.write(json.dumps({"code": code, "text": output.read()}) + "\n")
            answers.flush()


def _run(arguments: list[str], output: TextIO) -> NoReturn:
    """Run the command in this process, then exit."""

    def command() -> None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        importlib.import_module("mlops.cli").main(arguments)

    end_after(command)


if __name__ == "__main__":
    main()
