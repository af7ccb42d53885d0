"""Runs of workflows: start one, and follow it until it has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from mlops.connect.github.api import GitHubApi
from mlops.connect.local_git import BRANCH
from mlops.errors import MlopsError

SHORTEST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 15.0
APPEARS_SECONDS: Final = 60


@dataclass(frozen=True)
class Runs:
    """The runs of a repository's workflows.

    Attributes
    ----------
    base :
        The repository's path, ``repos/OWNER/NAME``.
    """

    api: GitHubApi
    base: str

    def last(self, workflow: str) -> dict[str, Any] | None:
        """Return the last run that did anything."""
        path = f"{self.base}/actions/workflows/{workflow}/runs?per_page=20"
        found = self.api.call("GET", path, missing={"workflow_runs": []})["workflow_runs"]
        done = [one for one in found if one["conclusion"] != "skipped"]
        return dict(done[0]) if done else None

    def start(self, workflow: str) -> dict[str, Any]:
        """Start a workflow by hand, and return its run.

        Raises
        ------
        MlopsError
            GitHub refused, or shows no run.
        """
        before = self.last(workflow)
        path = f"{self.base}/actions/workflows/{workflow}/dispatches"
        self.api.call("POST", path, {"ref": BRANCH})
        end = time.monotonic() + APPEARS_SECONDS
        while time.monotonic() < end:
            run = self.last(workflow)
            if run and run["id"] != (before or {}).get("id"):
                return run
            time.sleep(SHORTEST_PAUSE)
        raise MlopsError(
            f"{workflow} was started, but GitHub does not list its run.",
            "Look at the repository's page Actions.",
        )

    def follow(self, run: dict[str, Any]) -> None:
        """Wait until a run has ended, and tell what it waits for.

        Raises
        ------
        MlopsError
            It did not succeed.
        """
        pause, told = SHORTEST_PAUSE, ""
        while run["status"] != "completed":
            state = self._state(run)
            if state != told:
                print(f"    {state}", flush=True)
                told, pause = state, SHORTEST_PAUSE
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
            run = self.api.call("GET", f"{self.base}/actions/runs/{run['id']}")
        if run["conclusion"] != "success":
            raise MlopsError(
                f"{run['name']} ended with {run['conclusion']}: {run['html_url']}",
                "Read its log, fix the cause, and run connect again: it starts another run.",
            )

    def _state(self, run: dict[str, Any]) -> str:
        if run["status"] != "waiting":
            return f"{run['status']}: {run['html_url']}"
        path = f"{self.base}/actions/runs/{run['id']}/pending_deployments"
        names = [one["environment"]["name"] for one in self.api.call("GET", path)]
        return f"waits for the approval of {', '.join(names)}: {run['html_url']}"
