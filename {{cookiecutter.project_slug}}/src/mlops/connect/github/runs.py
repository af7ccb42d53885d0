"""Runs of workflows: start one, and follow it until it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mlops.connect.github.api import GitHubApi
from mlops.connect.local_git import BRANCH
from mlops.connect.runs import failure, follow
from mlops.errors import MlopsError
from mlops.waiting import wait_until

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
        before = (self.last(workflow) or {}).get("id")
        path = f"{self.base}/actions/workflows/{workflow}/dispatches"
        self.api.call("POST", path, {"ref": BRANCH})

        def look() -> dict[str, Any] | None:
            run = self.last(workflow)
            return run if run and run["id"] != before else None

        run = wait_until(lambda found: found is not None, look, APPEARS_SECONDS)
        if run is None:
            raise MlopsError(
                f"{workflow} was started, but GitHub does not list its run.",
                "Look at the repository's page Actions.",
            )
        return run

    def follow(self, run: dict[str, Any]) -> None:
        """Wait until a run has ended, and tell what it waits for.

        Raises
        ------
        MlopsError
            It did not succeed.
        """
        path = f"{self.base}/actions/runs/{run['id']}"
        run = follow(lambda: dict(self.api.call("GET", path)), self._state)
        if run["conclusion"] != "success":
            raise failure(run["name"], run["conclusion"], run["html_url"])

    def _state(self, run: dict[str, Any]) -> str:
        """Return what a run does, or "" if it has ended."""
        if run["status"] == "completed":
            return ""
        if run["status"] != "waiting":
            return f"{run['status']}: {run['html_url']}"
        path = f"{self.base}/actions/runs/{run['id']}/pending_deployments"
        names = [one["environment"]["name"] for one in self.api.call("GET", path)]
        return f"waits for the approval of {', '.join(names)}: {run['html_url']}"
