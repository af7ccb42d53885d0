"""Starts a double for a test, and talks to its control endpoint. Needs nothing but the standard library."""

import json
import os
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

PROGRAM = Path(__file__).with_name("arm.py")


@dataclass(frozen=True)
class Double:
    """A running double.

    Attributes
    ----------
    url, ca :
        Its address, and the file of the authority that its certificate is signed by.
    environment :
        The variables that lead clients to it instead of to Azure; lay them over your own.
    folder :
        Where all that it holds can be looked at.
    pid :
        Its process.
    """

    url: str
    ca: str
    environment: dict[str, str]
    folder: Path
    pid: int

    def plant(self, kind: str, match: str, **settings: Any) -> None:
        """Make calls fail that `match` (a regex over METHOD and path); the README lists the kinds and settings."""
        self._ask("POST", "faults", {"kind": kind, "match": match, **settings})

    def clear_faults(self) -> None:
        """Take back what was planted and has not happened yet."""
        self._ask("DELETE", "faults")

    def faults_left(self) -> list[dict[str, Any]]:
        """The faults that have not been used up."""
        return list(self._ask("GET", "faults"))

    def calls(self) -> list[dict[str, Any]]:
        """Every call so far, oldest first: method, path, query, body (if JSON) and status."""
        return list(self._ask("GET", "calls"))

    def _ask(self, method: str, name: str, content: Any = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = Request(f"{self.url}/_double/{name}", body, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, context=ssl.create_default_context(cafile=self.ca), timeout=30) as answer:
            return json.load(answer)


@contextmanager
def running_double(
    python: Path, folder: Path, workspaces: Sequence[str] = (), resources: Sequence[str] = ()
) -> Iterator[Double]:
    """Run a double in a folder as long as the block lasts.

    Parameters
    ----------
    python :
        The Python of an environment with the requirements of a rendered project.
    workspaces, resources :
        What exists from the start: GROUP/NAME, and GROUP/PROVIDER/TYPE/NAME.
    """
    given = [word for name in workspaces for word in ("--workspace", name)]
    given += [word for name in resources for word in ("--resource", name)]
    command = [str(python), str(PROGRAM), "--folder", str(folder), "--until-stdin-ends", *given]
    folder.mkdir(parents=True, exist_ok=True)
    with (
        folder.with_suffix(".errors").open("w") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=_plain()
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, folder.with_suffix(".errors").read_text()
            yield Double(**json.loads(line), folder=folder, pid=process.pid)
        finally:
            process.terminate()


def _plain() -> dict[str, str]:
    """This environment, without what would lead the double's own processes elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AZURE", "MLOPS_"))}
