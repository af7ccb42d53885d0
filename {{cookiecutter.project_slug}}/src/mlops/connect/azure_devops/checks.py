"""Environments, and the checks of whatever a pipeline needs a permission for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from mlops.ci.azure_devops import PREVIEW
from mlops.connect.azure import Azure
from mlops.connect.azure_devops.api import Json, present
from mlops.connect.azure_devops.project import Project
from mlops.connect.local_git import BRANCH
from mlops.connect.steps import Change
from mlops.errors import ConfigError
from mlops.naming import ENVIRONMENTS

NAMES: Final = tuple(f"{name}{suffix}" for suffix in ("", "-infra") for name in ENVIRONMENTS)
APPROVED: Final = ("production", "production-infra")
MAIN: Final = f"refs/heads/{BRANCH}"
CONFIGURATIONS: Final = "pipelines/checks/configurations"
LONGEST: Final = 43200  # minutes: 30 days

# Types of checks. That of all checks which are tasks is one: their definition says what they do.
APPROVAL: Final = "8c6f20a7-a545-4486-9777-f762fafe0d4d"
TASK: Final = "fe1de3ee-a436-41b4-bb20-f6eb4cb879a7"
LOCK: Final = "2ef31ad6-baa0-403a-8b45-2cbc9b4e5563"
BRANCH_CONTROL: Final = "86b05a0c-73e6-4f7d-b3cf-e38f3b39a75b"


@dataclass(frozen=True)
class Check:
    """A check that is wanted.

    Attributes
    ----------
    suffices :
        Whether the settings of one that is there already are as good.
    """

    text: str
    type: str
    settings: Json
    suffices: Callable[[Json], bool] = lambda _: True

    def is_kind_of(self, found: Json) -> bool:
        return (self.type, _definition(self.settings)) == (
            str(found["type"]["id"]).lower(),
            _definition(found.get("settings") or {}),
        )


ONLY_MAIN: Final = Check(
    f"only branch {BRANCH}",
    TASK,
    {
        "displayName": "Branch control",
        "definitionRef": {
            "id": BRANCH_CONTROL,
            "name": "evaluatebranchProtection",
            "version": "0.0.1",
        },
        "inputs": {
            "allowedBranches": MAIN,
            "ensureProtectionOfBranch": "false",
            "allowUnknownStatusBranch": "false",
        },
    },
    lambda settings: _allows_main(str(settings["inputs"].get("allowedBranches", ""))),
)
ONE_RUN: Final = Check("one run at a time", LOCK, {})


def look_at_checks(
    project: Project, kind: str, resource: Json, wanted: list[Check]
) -> list[Change]:
    """Return what is left to do until a resource has some checks.

    Parameters
    ----------
    kind : str
        "environment" or "endpoint".
    """
    where = {"resourceType": kind, "resourceId": str(resource["id"])}
    there = project.values(CONFIGURATIONS, PREVIEW, **where, **{"$expand": "settings"})
    changes = []
    for check in wanted:
        found = next((one for one in there if check.is_kind_of(one)), None)
        if found is None or not check.suffices(found.get("settings") or {}):
            place = {"type": kind, "id": str(resource["id"]), "name": resource["name"]}
            changes.append(Change(check.text, partial(_set, project, place, check, found)))
    return changes


def _set(project: Project, place: Json, check: Check, found: Json | None) -> None:
    body = {
        "type": {"id": check.type},
        "settings": check.settings,
        "resource": place,
        "timeout": LONGEST,
    }
    if found is None:
        project.call("POST", CONFIGURATIONS, body, PREVIEW)
    else:
        project.call(
            "PATCH", f"{CONFIGURATIONS}/{found['id']}", body | {"id": found["id"]}, PREVIEW
        )


@dataclass(frozen=True)
class Environments:
    """The environments that pipelines deploy to.

    Attributes
    ----------
    reviewers : tuple of str
        Names or addresses of people and groups; without any, those that are set stay, or else the
        person who wires the project approves.
    """

    project: Project
    azure: Azure
    reviewers: tuple[str, ...]

    def find(self, name: str) -> Json | None:
        """Return an environment, or None if it does not exist."""
        found = self.project.values("distributedtask/environments", name=name)
        return next((one for one in found if one["name"].lower() == name), None)

    def need(self, name: str) -> Json:
        """Return an environment.

        Raises
        ------
        Waits
            It does not exist yet.
        """
        return present(self.find(name), f"the environment {name}")

    def look(self, name: str) -> list[Change]:
        """Return what is left to do until an environment is protected."""
        self.project.need()
        found = self.find(name)
        if found is not None:
            return self._look_at_checks(found)
        texts = [check.text for check in self._wanted(name)]
        return [Change(f"create it: {', '.join(texts)}", lambda: self._create(name))]

    def _create(self, name: str) -> None:
        body = {"name": name, "description": self.project.settings.name}
        found = self.project.call("POST", "distributedtask/environments", body)
        for change in self._look_at_checks(found):
            change.act()

    def _look_at_checks(self, found: Json) -> list[Change]:
        wanted = self._wanted(str(found["name"]).lower())
        return look_at_checks(self.project, "environment", found, wanted)

    def _wanted(self, name: str) -> list[Check]:
        return [ONLY_MAIN, ONE_RUN, *([self._approval()] if name in APPROVED else [])]

    def _approval(self) -> Check:
        names = self.reviewers or (self.azure.account().person,)
        people = {str(one["id"]): _name(one) for one in map(self._find_person, names)}
        others = len(people) > 1  # a single approver could approve nothing that he or she started

        def suffices(settings: Json) -> bool:
            ids = {str(one["id"]) for one in settings["approvers"]}
            as_wanted = ids == set(people) and settings.get("requesterCannotBeApprover") == others
            return as_wanted or (bool(ids) and not self.reviewers)

        settings = {
            "approvers": [{"id": one} for one in people],
            "executionOrder": "anyOrder",
            "minRequiredApprovers": 1,
            "instructions": "",
            "blockedApprovers": [],
            "requesterCannotBeApprover": others,
        }
        text = f"approved by {' or '.join(people.values())}"
        return Check(text, APPROVAL, settings, suffices)

    def _find_person(self, who: str) -> Json:
        if not who:
            raise ConfigError("az does not say who you are.", "Name who approves: --reviewer WHO")
        found = self.project.organization.people(who)
        exact = [one for one in found if who.lower() in _addresses(one)]
        chosen = exact if len(exact) == 1 else found
        if len(chosen) != 1:
            names = ", ".join(sorted(map(_name, found))) or "nobody"
            raise ConfigError(
                f"Azure DevOps finds {names} for {who}.",
                "Name one person or group of the organization: --reviewer ADDRESS",
            )
        return chosen[0]


def _allows_main(branches: str) -> bool:
    names = [name.strip() for name in branches.split(",")]
    return MAIN in names and not any("*" in name for name in names)


def _definition(settings: Json) -> str:
    return str((settings.get("definitionRef") or {}).get("id", "")).lower()


def _name(person: Json) -> str:
    return str(person.get("providerDisplayName") or person["id"])


def _addresses(person: Json) -> set[str]:
    properties = person.get("properties") or {}
    texts = [(properties.get(key) or {}).get("$value", "") for key in ("Account", "Mail")]
    return {str(text).lower() for text in texts}
