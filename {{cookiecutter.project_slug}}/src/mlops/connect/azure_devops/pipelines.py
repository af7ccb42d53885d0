"""Pipelines: their files, what each may use, their secret, and their runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from mlops.ci.azure_devops import PREVIEW
from mlops.connect.azure_devops.api import Json, present, wait_for
from mlops.connect.azure_devops.checks import MAIN, Environments
from mlops.connect.azure_devops.connections import Connections
from mlops.connect.azure_devops.project import Project
from mlops.connect.runs import failure, follow
from mlops.connect.steps import Change
from mlops.connect.webhook import WEBHOOK, check_webhook
from mlops.errors import MlopsError

TELLING: Final = ("train", "release")  # they tell that a version waits
ENABLED: Final = "enabled"
DISABLED: Final = "disabled"


@dataclass(frozen=True)
class Uses:
    """The service connections and environments that a pipeline's file names."""

    connections: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()


RELEASE: Final = Uses(("staging", "production"), ("staging", "production"))
PLANS: Final = ("staging-plan", "production-plan")
APPLIES: Final = ("staging-infra", "production-infra")
USES: Final = {
    "pull-request": Uses(),
    "infra": Uses((*PLANS, *APPLIES), APPLIES),
    "train": RELEASE,
    "release": RELEASE,
    "rollback": Uses(("production",), ("production",)),
    "drift": Uses(PLANS),
    "monitor": Uses(("production-plan",)),
}


@dataclass(frozen=True)
class Pipelines:
    """The pipelines of a project, one per file of azure-pipelines/."""

    project: Project
    connections: Connections
    environments: Environments

    @property
    def names(self) -> list[str]:
        """Return those that have a file here."""
        folder = self.project.settings.root / "azure-pipelines"
        return [name for name in USES if (folder / f"{name}.yml").is_file()]

    def find(self, name: str) -> Json | None:
        """Return a pipeline's definition, or None if it does not exist.

        Raises
        ------
        MlopsError
            Another repository has a pipeline of this name.
        """
        self.project.need()
        listed = self.project.values("build/definitions", name=name)
        known = next((one["id"] for one in listed if one["name"].lower() == name), None)
        if known is None:
            return None
        found: Json = self.project.call("GET", f"build/definitions/{known}")
        if found["repository"]["id"] != self.project.repository()["id"]:
            raise MlopsError(
                f"The project {self.project.name} has a pipeline {name} of another repository.",
                "Give this repository a project of its own: `repository` in project.yml.",
            )
        return found

    def need(self, name: str) -> Json:
        """Return a pipeline's definition.

        Raises
        ------
        Waits
            It does not exist yet.
        """
        return present(self.find(name), f"the pipeline {name}")

    def look(self, name: str) -> list[Change]:
        """Return what is left to do until a pipeline may use what it needs, and nothing else."""
        found = self.find(name)
        if found is None:
            uses = [f"connection {one}" for one in USES[name].connections]
            uses += [f"environment {one}" for one in USES[name].environments]
            text = f"create it; it may use {', '.join(uses) or 'nothing'}"
            return [Change(text, lambda: self._create(name))]
        changes = self._look_at_permissions(name, found["id"])
        if found.get("queueStatus", ENABLED) != ENABLED:
            changes.append(Change("enable it", lambda: self._update(found, queueStatus=ENABLED)))
        return changes

    def look_at_webhook(self) -> list[Change]:
        """Look whether a given webhook is stored; its value cannot be read back."""
        if not os.environ.get(WEBHOOK):
            return []
        changes = []
        for name in TELLING:
            found = self.need(name)
            if WEBHOOK not in (found.get("variables") or {}):
                text = f"store {WEBHOOK} as a secret variable of {name}"
                changes.append(Change(text, partial(self._store_webhook, name, found)))
        return changes

    def _store_webhook(self, name: str, found: Json) -> None:
        value = check_webhook(os.environ[WEBHOOK].strip())
        self.project.will_create(f"the variable {WEBHOOK} of {name}", f"webhook/{name}")
        given = {**(found.get("variables") or {}), WEBHOOK: {"value": value, "isSecret": True}}
        self._update(found, variables=given)

    def remove_webhook(self, name: str) -> None:
        """Remove the webhook from a pipeline, if it is there."""
        found = self.find(name)
        if found and WEBHOOK in (found.get("variables") or {}):
            left = {key: one for key, one in found["variables"].items() if key != WEBHOOK}
            self._update(found, variables=left)

    def disable(self, name: str) -> None:
        """Let a pipeline run no more; its runs stay."""
        found = self.find(name)
        if found and found.get("queueStatus") != DISABLED:
            self._update(found, queueStatus=DISABLED)

    def _create(self, name: str) -> None:
        text = f"the triggers of the pipeline {name} (it is disabled)"
        self.project.will_create(text, f"pipelines/{name}")
        body = {
            "name": name,
            "folder": "\\",
            "configuration": {
                "type": "yaml",
                "path": f"/azure-pipelines/{name}.yml",
                "repository": {"id": self.project.repository()["id"], "type": "azureReposGit"},
            },
        }
        number = self.project.call("POST", "pipelines", body)["id"]
        for change in self._look_at_permissions(name, number):
            change.act()

    def _look_at_permissions(self, name: str, number: int) -> list[Change]:
        uses = USES[name]
        resources = [("endpoint", self.connections.need(one)) for one in uses.connections]
        resources += [("environment", self.environments.need(one)) for one in uses.environments]
        return [
            Change(f"let it use the {kind} {one['name']}", partial(self._permit, path, number))
            for kind, one in resources
            for path in [f"pipelines/pipelinepermissions/{kind}/{one['id']}"]
            if not self._is_permitted(path, number)
        ]

    def _is_permitted(self, path: str, number: int) -> bool:
        found = self.project.call("GET", path, version=PREVIEW)
        everybody = (found.get("allPipelines") or {}).get("authorized", False)
        mine = [one for one in found.get("pipelines") or () if one["id"] == number]
        return bool(everybody or any(one["authorized"] for one in mine))

    def _permit(self, path: str, number: int) -> None:
        body = {"pipelines": [{"id": number, "authorized": True}]}
        self.project.call("PATCH", path, body, PREVIEW)
        wait_for("a permission", lambda: self._is_permitted(path, number) or None)

    def _update(self, found: Json, **changes: Any) -> None:
        """Change a definition, which Azure DevOps takes only as a whole."""
        self.project.call("PUT", f"build/definitions/{found['id']}", {**found, **changes})


@dataclass(frozen=True)
class Runs:
    """The runs of a project's pipelines."""

    project: Project

    def url(self, run: Json) -> str:
        return f"{self.project.url}/_build/results?buildId={run['id']}"

    def last(self, pipeline: Json) -> Json | None:
        """Return a pipeline's last run."""
        found = self.project.values(f"pipelines/{pipeline['id']}/runs")
        return max(found, key=lambda run: int(run["id"]), default=None)

    def start(self, pipeline: Json) -> Json:
        """Start a pipeline on main, and return its run."""
        body = {"resources": {"repositories": {"self": {"refName": MAIN}}}}
        run: Json = self.project.call("POST", f"pipelines/{pipeline['id']}/runs", body)
        return run

    def follow(self, pipeline: Json, run: Json) -> None:
        """Wait until a run has ended, and tell what it waits for.

        Raises
        ------
        MlopsError
            It did not succeed.
        """
        path = f"pipelines/{pipeline['id']}/runs/{run['id']}"
        run = follow(lambda: dict(self.project.call("GET", path)), self._state)
        if run["result"] != "succeeded":
            raise failure(pipeline["name"], run["result"], self.url(run))

    def _state(self, run: Json) -> str:
        """Return what a run does, or "" if it has ended."""
        if run["state"] == "completed":
            return ""
        return f"{'waits for an approval' if self._waits(run) else 'runs'}: {self.url(run)}"

    def _waits(self, run: Json) -> bool:
        """Return whether an approval of the run is pending."""
        timeline = self.project.call("GET", f"build/builds/{run['id']}/timeline", missing={})
        found = [
            self.project.call("GET", f"pipelines/approvals/{one['id']}", missing={})
            for one in timeline.get("records") or ()
            if one["type"] == "Checkpoint.Approval"
        ]
        return any(one.get("status") == "pending" for one in found)
