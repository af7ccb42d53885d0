"""Runs Python code in a rendered project's environment, because the template's own has no Azure packages.

`session.py` reads lines of JSON, each a piece of code, and answers with the value of its last expression or its
exception. All pieces share one namespace, so the large packages are imported once.
"""

import ast
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any, TextIO


class RemoteError(Exception):
    """An exception in the session: the name of its type, and its text."""

    def __init__(self, kind: str, text: str, details: str) -> None:
        super().__init__(f"{kind}: {text}\n{details}")
        self.kind = kind
        self.text = text


class Session:
    """A Python process that keeps its variables between calls."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, code: str, **names: Any) -> Any:
        """Run code with variables (JSON values); return the value of its last expression."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"code": dedent(code), "names": names}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the session ended"
        answer = json.loads(line)
        if "kind" in answer:
            raise RemoteError(answer["kind"], answer["text"], answer["details"])
        return answer["value"]


@contextmanager
def running_session(python: Path, environment: Mapping[str, str], folder: Path) -> Iterator[Session]:
    """Run a Python of another environment in a folder until the block ends."""
    command = [str(python), str(Path(__file__).resolve())]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
        cwd=folder,
        encoding="utf-8",
    ) as process:
        try:
            yield Session(process)
        finally:
            process.terminate()


def main() -> None:
    """Answer until the input ends; print statements go to standard error."""
    answers, sys.stdout = sys.stdout, sys.stderr
    namespace: dict[str, Any] = {}
    for line in sys.stdin:
        _answer(json.loads(line), namespace, answers)


def _answer(request: dict[str, Any], namespace: dict[str, Any], answers: TextIO) -> None:
    namespace.update(request["names"])
    try:
        answer = {"value": _run(request["code"], namespace)}
    except Exception as error:  # noqa: BLE001 -- every exception is an answer
        answer = {"kind": type(error).__name__, "text": str(error), "details": traceback.format_exc()}
    answers.write(json.dumps(answer, default=str) + "\n")
    answers.flush()


def _run(code: str, namespace: dict[str, Any]) -> Any:
    tree = ast.parse(code)
    *_, last = tree.body
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "<test>", "exec"), namespace)  # noqa: S102 -- the purpose of a session
        return None
    tree.body.pop()
    exec(compile(tree, "<test>", "exec"), namespace)  # noqa: S102
    return eval(compile(ast.Expression(last.value), "<test>", "eval"), namespace)  # noqa: S307


if __name__ == "__main__":
    main()
