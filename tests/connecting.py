"""A rendered project on a person's machine: `mlops connect` with the real gh, git and Terraform, before the doubles."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doubles.github import Account, GitHub, running_github
from doubles.github_repository import DEFAULTS
from rendering import git

BIN = Path(sys.executable).parent
PERSON = "alice"
TOKEN = "gho_planted-token"  # noqa: S105 -- of the double


@dataclass
class Bench:
    """A project, the programs that it calls, and the double of GitHub.

    Attributes
    ----------
    variables :
        The environment of the person's shell.
    """

    folder: Path
    project: Path
    github: GitHub
    variables: dict[str, str] = field(default_factory=dict)

    def connect(self, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run connect without a terminal; agree to everything unless options say otherwise."""
        return self._run(sys.executable, "src/mlops/connect", *(words or ("--yes",)), **changes)

    def _run(self, python: str, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-B", *words],
            cwd=self.project,
            env={**self.variables, **changes},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )

    def run_in_project(self, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run Python as in the project's environment."""
        return self._run(os.environ["PROJECT_PYTHON"], *words, **changes)

    def arguments(self) -> list[str]:
        """Return the programs that were called, with their arguments."""
        return (self.folder / "bin" / "arguments.log").read_text(encoding="utf-8").splitlines()

    def killed_at(self, number: int) -> subprocess.CompletedProcess[str]:
        """Run connect, and kill it with its programs as soon as GitHub has carried out a number of changes."""
        with subprocess.Popen(
            [sys.executable, "-B", "src/mlops/connect", "--yes"],
            cwd=self.project,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            done = len(self.changes())

            def kill(_: object) -> None:
                if len(self.changes()) - done >= number and process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

            self.github.after_call = kill
            output = process.communicate()[0]
            self.github.after_call = None
        return subprocess.CompletedProcess(process.args, process.returncode, output, "")

    def changes(self, since: int = 0) -> list[str]:
        """Return the calls that asked GitHub for a change: method, path below the repository, and body."""
        base = f"/repos/{self.repository}"
        return [
            " ".join([call.method, call.path.removeprefix(base) or "/", *_body(call.body)])
            for call in self.github.calls[since:]
            if call.method != "GET" and not call.path.endswith("graphql")
        ]

    def calls(self) -> list[str]:
        """Return all calls: method, path below the repository, and status."""
        base = f"/repos/{self.repository}"
        return [f"{call.method} {call.path.removeprefix(base) or '/'} {call.status}" for call in self.github.calls]

    @property
    def repository(self) -> str:
        found = self.github.repository
        return found.full_name if found else "octo/credit-risk"

    @property
    def remote(self) -> Path:
        """Return the repository's files on the server."""
        return self.folder / "server" / f"{self.repository}.git"

    def state(self) -> dict[str, Any]:
        """Return everything that connecting has changed: on GitHub, in the project, and in git."""
        github = self.github
        return {
            "repository": (github.repository.full_name, github.repository.private) if github.repository else None,
            "environments": {name: vars(one) for name, one in github.environments.items()},
            "variables": dict(github.variables),
            "actions": {name: values | github.actions.get(name, {}) for name, values in DEFAULTS.items()},
            "rulesets": [{key: one[key] for key in ("name", "rules", "conditions")} for one in github.rulesets],
            "dispatches": [one["workflow"] for one in github.dispatches],
            "record": json.loads((self.project / ".mlops" / "connect.json").read_text("utf-8")),
            "messages": git(self.project, "log", "--format=%s").splitlines(),
            "tree": git(self.project, "rev-parse", "HEAD^{tree}"),
            "pushed": git(self.project, "rev-parse", "HEAD") == git(self.remote, "rev-parse", "main"),
            "left": git(self.project, "status", "--porcelain"),
        }


def _body(body: Any) -> list[str]:
    if isinstance(body, dict) and "encrypted_value" in body:
        return ["(encrypted)"]
    return [] if body is None else [json.dumps(body, sort_keys=True)]


@contextmanager
def bench(rendered: Path, folder: Path, host: str = "github.com") -> Iterator[Bench]:
    """Copy a rendered project to a person's machine, with a login on GitHub and without Azure."""
    project = Path(shutil.copytree(rendered, folder / "credit-risk"))
    home = folder / "home"
    (home / "gh").mkdir(parents=True)
    (home / ".gitconfig").write_text("[user]\nname = Alice\nemail = alice@example.com\n", encoding="utf-8")
    with running_github(folder) as github:
        github.folder = folder / "server"
        github.tokens[TOKEN] = github.tokens[github.person(PERSON)]
        github.accounts = [
            Account(PERSON, 11),
            Account("bob", 12),
            Account("octo", 34, "Organization", {"owners": 56}),
        ]
        (home / "gh" / "config.yml").write_text(f"http_unix_socket: {github.socket}\n", encoding="utf-8")
        token = "GH_TOKEN" if host == "github.com" or host.endswith(".ghe.com") else "GH_ENTERPRISE_TOKEN"
        variables = {
            "HOME": str(home),
            "GH_CONFIG_DIR": str(home / "gh"),
            token: TOKEN,
            "PATH": programs(folder / "bin", "gh", "git"),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{folder}/server/.insteadOf",
            "GIT_CONFIG_VALUE_0": f"https://{host}/",
        }
        if host != "github.com":
            variables["GH_HOST"] = host
        yield Bench(folder, project, github, variables)


def programs(folder: Path, *names: str) -> str:
    """Return a PATH with some programs only, which log their arguments to `arguments.log`."""
    folder.mkdir(exist_ok=True)
    for name in names:
        found = BIN / name if (BIN / name).exists() else shutil.which(name)
        text = f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >>"{folder}/arguments.log"\nexec "{found}" "$@"\n'
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    return str(folder)
