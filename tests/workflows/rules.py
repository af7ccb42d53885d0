"""What GitHub does to a workflow's jobs and act does not: tokens with rights, environments, variables, OIDC.

act ignores `environment` and `permissions`, gives all jobs the same token, and refuses some newer keys (tried with
0.2.89). So a copy of each workflow says in its jobs' `env` and first step what GitHub's servers would decide.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from doubles.github import LEVELS, Environment, GitHub, Token

Workflow = dict[str, Any]
UNKNOWN_TO_ACT = ("concurrency",)
SECRET = re.compile(r"\$\{\{ *secrets\.(\w+) *\}\}")
VARIABLE = re.compile(r"\$\{\{ *vars\.(\w+) *\}\}")
TOKEN = re.compile(r"\$\{\{ *github\.token *\}\}")


@dataclass(frozen=True)
class Event:
    """What starts a run."""

    name: str
    sha: str  # the commit that actions/checkout fetches
    ref: str = "refs/heads/main"
    payload: Mapping[str, Any] = field(default_factory=dict)
    actor: str = "alice"
    from_fork: bool = False


@dataclass(frozen=True)
class Rules:
    """The decisions of GitHub's servers about a run.

    Attributes
    ----------
    oidc : callable
        Returns the variables with which a job gets tokens, by its subject.
    """

    repository: str
    github: GitHub
    event: Event
    oidc: Callable[[str], Mapping[str, str]]
    python: str
    run: int

    def apply(self, name: str, workflow: Workflow, limit: Mapping[str, str] | None = None) -> Workflow:
        """Return a copy of a workflow; ``limit`` has the rights of the job that calls it."""
        jobs = {
            key: self._job(f"{name}:{key}", job, rights(workflow, job, limit)) for key, job in workflow["jobs"].items()
        }
        return {key: value for key, value in workflow.items() if key not in UNKNOWN_TO_ACT} | {"jobs": jobs}

    def _job(self, name: str, job: Workflow, permissions: Mapping[str, str]) -> Workflow:
        kept = {key: value for key, value in job.items() if key not in UNKNOWN_TO_ACT}
        if "uses" in job:
            return kept
        if self.event.from_fork:  # secrets.GITHUB_TOKEN is read-only, and there is no OIDC
            permissions = {key: "none" if key == "id-token" else "read" for key in permissions}
        token = f"token of {name}"
        self.github.tokens[token] = Token(name, permissions)
        environment = job.get("environment")
        settings = self.github.environments.get(str(environment), Environment())
        kept = _replaced(kept, lambda text: VARIABLE.sub(lambda found: settings.variables.get(found[1], ""), text))
        kept = _replaced(kept, lambda text: SECRET.sub(lambda found: settings.secrets.get(found[1], ""), text))
        kept = dict(_replaced(kept, lambda text: TOKEN.sub(token, text)))
        if permissions.get("id-token") == "write":
            kept["env"] = {**kept.get("env", {}), **self.oidc(self._subject(environment))}
        if environment:
            kept["steps"] = [self._gate(environment), *kept["steps"]]
        return kept

    def _subject(self, environment: str | None) -> str:
        prefix = self.github.subject_prefix() if self.github.repository else None
        prefix = prefix or f"repo:{self.repository}"
        if environment:
            return f"{prefix}:environment:{environment}"
        if self.event.name == "pull_request":
            return f"{prefix}:pull_request"
        return f"{prefix}:ref:{self.event.ref}"

    def _gate(self, environment: str) -> Workflow:
        """Return a step that ends as the environment's reviewers decide."""
        url = f"{self.github.url}/_double/runs/{self.run}/{environment}?ref={self.event.ref}"
        code = f"import urllib.request; urllib.request.urlopen('{url}', b'')"
        return {"name": f"GitHub: {environment}", "run": f'{self.python} -c "{code}"'}


def rights(workflow: Workflow, job: Workflow, limit: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a job's rights: its own, else the workflow's, and no more than those of the job that calls it."""
    given = job.get("permissions", workflow.get("permissions"))
    assert isinstance(given, dict), "without permissions, a job gets the repository's default, which may be everything"
    if limit is None:
        return dict(given)
    return {name: min(level, limit.get(name, "none"), key=LEVELS.index) for name, level in given.items()}


def _replaced(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
