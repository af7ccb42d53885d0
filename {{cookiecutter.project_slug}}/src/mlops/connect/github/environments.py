"""GitHub's environments: which branch may use them, and who approves production."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlops.connect.github.api import RefusedError
from mlops.connect.github.repository import SERVICE, Repository
from mlops.connect.local_git import BRANCH
from mlops.connect.programs import must, run
from mlops.connect.steps import Change, Limit, Note, Undo
from mlops.connect.webhook import WEBHOOK, check_webhook
from mlops.errors import ConfigError, MlopsError
from mlops.naming import ENVIRONMENTS

# CI's environments, and those of the identities that plan and apply infra/.
SUFFIXES: Final = ("", "-plan", "-infra")
NAMES: Final = tuple(f"{name}{suffix}" for name in ENVIRONMENTS for suffix in SUFFIXES)
REVIEWED: Final = ("production", "production-infra")
TIMED: Final = "production"
# A policy that lists branches: "protected branches" lets all deploy while none is protected.
POLICY: Final = {"protected_branches": False, "custom_branch_policies": True}


@dataclass(frozen=True)
class Protection:
    """What protects an environment.

    Attributes
    ----------
    reviewers : tuple of (str, int, str)
        "User" or "Team", id, and name.
    branches : tuple of str or None
        The patterns of the branches that may use it; None for all.
    bypass : bool
        Whether administrators need no approval.
    """

    reviewers: tuple[tuple[str, int, str], ...] = ()
    wait_minutes: int = 0
    branches: tuple[str, ...] | None = None
    bypass: bool = False

    def has_rules_of(self, other: Protection) -> bool:
        """Return whether both ask the same people, and wait as long."""
        return (self.reviewers, self.wait_minutes) == (other.reviewers, other.wait_minutes)


@dataclass(frozen=True)
class Environments:
    """The environments of a repository.

    Attributes
    ----------
    reviewers : tuple of str
        Logins, or ORGANIZATION/TEAM; without any, those that are set stay, or else the person
        who wires the repository approves.
    """

    repository: Repository
    reviewers: tuple[str, ...]
    wait_minutes: int

    def read(self, name: str) -> Protection | None:
        """Return what protects an environment, or None if it does not exist."""
        found = self._call("GET", name, missing=None)
        if found is None:
            return None
        rules = found.get("protection_rules") or ()
        reviewers = tuple(
            (one["type"], int(one["reviewer"]["id"]), _name(one["reviewer"]))
            for rule in rules
            if rule["type"] == "required_reviewers"
            for one in rule["reviewers"]
        )
        timers = [int(rule["wait_timer"]) for rule in rules if rule["type"] == "wait_timer"]
        custom = (found.get("deployment_branch_policy") or {}).get("custom_branch_policies")
        branches = self._branches(name) if custom else None
        bypass = bool(found.get("can_admins_bypass"))
        return Protection(reviewers, sum(timers), branches, bypass)

    def look(self, name: str) -> list[Change]:
        """Return what is left to do until an environment is protected."""
        found = self.read(name)
        current = found or Protection()
        reviewers = current.reviewers
        settled = found is not None and self.repository.settings.releasers
        if name in REVIEWED and (self.reviewers or not (reviewers or settled)):
            reviewers = tuple(map(self._find, self.reviewers or (self.repository.person,)))
        minutes = (self.wait_minutes if name == TIMED else 0) or current.wait_minutes
        wanted = Protection(reviewers, minutes, (BRANCH,))
        if wanted.has_rules_of(current) and BRANCH in (current.branches or ()):
            return []
        words = [f"only branch {BRANCH}"]
        if reviewers:
            words.append(f"approved by {' or '.join(who for _, _, who in reviewers)}")
        if minutes:
            words.append(f"after {minutes} minutes")
        text = f"{'protect' if found else 'create'} it: {', '.join(words)}"
        return [Change(text, lambda: self._protect(name, found, wanted))]

    def notes(self, name: str) -> list[Note]:
        """Return which doors of an environment are open besides the usual one."""
        found = self.read(name) or Protection()
        others = [branch for branch in found.branches or () if branch != BRANCH]
        where = f"{self.repository.url}/settings/environments"
        notes = []
        if others:
            text = f"other branches may use it, too: {', '.join(others)}"
            notes.append(Note(text, f"Remove them: {where}"))
        if found.bypass and found.reviewers:
            text = "administrators may bypass its approval"
            notes.append(Note(text, f"Do not allow it: {where}"))
        return notes

    def _protect(self, name: str, found: Protection | None, wanted: Protection) -> None:
        path = f"{self.repository.base}/environments/{name}"
        if found is None:
            undo = Undo(f"the environment {name}", SERVICE, "DELETE", path)
            self.repository.record.add(undo)
        limit = None
        if found is None or found.branches is None or not wanted.has_rules_of(found):
            limit = self._put(name, wanted)
        if BRANCH not in self._branches(name):
            body = {"name": BRANCH, "type": "branch"}
            self._call("POST", f"{name}/deployment-branch-policies", body)
        if limit is not None and not (name in REVIEWED and self.repository.settings.releasers):
            raise limit

    def _put(self, name: str, wanted: Protection) -> Limit | None:
        """Protect an environment; return what the plan does not allow."""
        body: dict[str, Any] = {"deployment_branch_policy": POLICY}
        if wanted.reviewers:
            body["reviewers"] = [{"type": kind, "id": one} for kind, one, _ in wanted.reviewers]
            # A single reviewer could approve nothing that he or she started.
            body["prevent_self_review"] = len(wanted.reviewers) > 1
            body["can_admins_bypass"] = False
        if wanted.wait_minutes:
            body["wait_timer"] = wanted.wait_minutes
        limit = None
        try:
            answer = self._send(name, body)
        except Limit as error:
            # The plan refuses the whole environment for these fields.
            limit = Limit(
                f"Nobody is asked before {name} changes: {error}",
                "Name in project.yml who may release by hand (serving.production.releasers), or "
                "use a plan with required reviewers.",
            )
            answer = self._send(name, {"deployment_branch_policy": POLICY})
        if answer is None:
            raise MlopsError(
                f"GitHub has no environments for {self.repository.url}: a private repository "
                "needs GitHub Pro, Team or Enterprise for them.",
                "Change the plan, or make the repository public.",
            )
        return limit

    def _send(self, name: str, body: Mapping[str, Any]) -> Any:
        """Change an environment, on older servers without what they do not know."""
        try:
            return self._call("PUT", name, body, missing=None)
        except RefusedError as error:
            if "can_admins_bypass" not in str(error):
                raise
            kept = {key: value for key, value in body.items() if key != "can_admins_bypass"}
            return self._call("PUT", name, kept, missing=None)

    def look_at_webhook(self) -> list[Change]:
        """Look whether a given webhook is stored; its value cannot be read back.

        Raises
        ------
        ConfigError
            It is not an address.
        """
        value = os.environ.get(WEBHOOK, "").strip()
        if not value or WEBHOOK in self.secrets("staging"):
            return []
        check_webhook(value)
        return [Change(f"store {WEBHOOK} as a secret of staging", self._store_webhook)]

    def notes_on_webhook(self) -> list[Note]:
        """Return whether nobody is told of a version that waits for an approval."""
        if WEBHOOK in self.secrets("staging"):
            return []
        return [Note(f"staging has no secret {WEBHOOK}", f"{WEBHOOK}=https://... mlops connect")]

    def secrets(self, name: str) -> list[str]:
        """Return the names of an environment's secrets."""
        found = self._call("GET", f"{name}/secrets", missing={"secrets": []})
        return [str(one["name"]) for one in found["secrets"]]

    def _store_webhook(self) -> None:
        repository = self.repository
        path = f"{repository.base}/environments/staging/secrets/{WEBHOOK}"
        repository.record.add(Undo(f"the secret {WEBHOOK} of staging", SERVICE, "DELETE", path))
        where = f"{repository.host}/{repository.settings.repository}"
        words = ("secret", "set", WEBHOOK, "--env", "staging", "--repo", where)
        fix = f"Store it by hand: gh secret set {WEBHOOK} --env staging"
        must(
            run("gh", *words, given=os.environ[WEBHOOK].strip()), f"gh cannot store {WEBHOOK}", fix
        )

    def _find(self, who: str) -> tuple[str, int, str]:
        """Return the type, id and name of a reviewer."""
        organization, _, team = who.partition("/")
        kind = "Team" if team else "User"
        path = f"orgs/{organization}/teams/{team}" if team else f"users/{who}"
        found = self.repository.api.call("GET", path, missing=None)
        if found is None:
            text = f"GitHub knows no {'team' if team else 'person'} {who}."
            raise ConfigError(text, "Correct --reviewer: a LOGIN, or ORGANIZATION/TEAM.")
        return kind, int(found["id"]), _name(found)

    def _branches(self, name: str) -> tuple[str, ...]:
        path = f"{name}/deployment-branch-policies"
        found = self._call("GET", path, missing={"branch_policies": []})
        return tuple(str(one["name"]) for one in found["branch_policies"])

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **kw: Any
    ) -> Any:
        where = f"{self.repository.base}/environments/{path}"
        return self.repository.api.call(method, where, body, **kw)


def _name(reviewer: Mapping[str, Any]) -> str:
    return str(reviewer.get("login") or reviewer.get("slug"))
