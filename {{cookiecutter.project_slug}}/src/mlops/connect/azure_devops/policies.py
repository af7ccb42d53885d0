"""The policies that protect main: a checked pull request, and somebody who has read it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from mlops.connect.azure_devops.api import Json
from mlops.connect.azure_devops.checks import MAIN
from mlops.connect.azure_devops.pipelines import Pipelines
from mlops.connect.azure_devops.project import Project
from mlops.connect.steps import Change

CONFIGURATIONS: Final = "policy/configurations"
VALIDATION: Final = "0609b952-1397-4640-95ec-e00a01b2c241"
# That of the merge types differs only in its tail.
REVIEW: Final = "fa4e907d-c16b-4a4c-9dfa-4906e5d171dd"
KINDS: Final = {"validation": VALIDATION, "review": REVIEW}


@dataclass(frozen=True)
class Policies:
    """The policies of a repository's main.

    Attributes
    ----------
    reviewers : int
        How many people review; one who works alone could merge nothing.
    """

    project: Project
    pipelines: Pipelines
    reviewers: int

    def look(self) -> list[Change]:
        """Return what is left to do until main needs a checked pull request."""
        number = self.pipelines.need("pull-request")["id"]
        there = self._there()
        changes = []
        if not any(
            one["settings"].get("buildDefinitionId") == number
            for one in there
            if _protects(one, VALIDATION)
        ):
            # It holds until the branch changes, not until main does.
            settings = {
                "buildDefinitionId": number,
                "displayName": "pull-request",
                "manualQueueOnly": False,
                "queueOnSourceUpdateOnly": True,
                "validDuration": 0,
            }
            text = "require a pull request and its checks"
            changes.append(Change(text, partial(self._create, "validation", settings)))
        if self.reviewers > 1 and not any(_protects(one, REVIEW) for one in there):
            settings = {
                "minimumApproverCount": 1,
                "creatorVoteCounts": False,
                "allowDownvotes": False,
                "resetOnSourcePush": True,
            }
            text = "require that somebody else approves it"
            changes.append(Change(text, partial(self._create, "review", settings)))
        return changes

    def remove(self, kind: str) -> None:
        """Remove a policy, if it is there."""
        pipeline = self.pipelines.find("pull-request") or {}
        for one in self._there():
            number = one["settings"].get("buildDefinitionId", pipeline.get("id"))
            if _is(one, KINDS[kind]) and number == pipeline.get("id"):
                self.project.call("DELETE", f"{CONFIGURATIONS}/{one['id']}", missing=None)

    def _there(self) -> list[Json]:
        where = {"repositoryId": self.project.repository()["id"], "refName": MAIN}
        return self.project.values(f"git/{CONFIGURATIONS}", **where)

    def _create(self, kind: str, settings: Json) -> None:
        self.project.will_create(f"the policy {kind} of main", f"policies/{kind}")
        place = {
            "repositoryId": self.project.repository()["id"],
            "refName": MAIN,
            "matchKind": "Exact",
        }
        body = {
            "isEnabled": True,
            "isBlocking": True,
            "type": {"id": KINDS[kind]},
            "settings": {"scope": [place], **settings},
        }
        self.project.call("POST", CONFIGURATIONS, body)


def _is(policy: Json, kind: str) -> bool:
    return str(policy["type"]["id"]).lower() == kind


def _protects(policy: Json, kind: str) -> bool:
    return _is(policy, kind) and bool(policy["isEnabled"] and policy["isBlocking"])
