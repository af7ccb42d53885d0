"""A repository on GitHub: who wires it, whether it exists, and what its tokens say."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mlops.connect import tfvars
from mlops.connect.github.api import PUBLIC, GitHubApi
from mlops.connect.github.subject import NAMES, Subject, issuer_of
from mlops.connect.local_git import BRANCH, LocalGit
from mlops.connect.programs import find
from mlops.connect.settings import PLACEHOLDER, Settings, write_repository
from mlops.connect.steps import Change, Record, Undo, Waits
from mlops.errors import ConfigError, MlopsError
from mlops.naming import ENVIRONMENTS

SCOPES: Final = ("repo", "workflow")
SERVICE: Final = "github"


@dataclass
class Repository:
    """The repository that project.yml names.

    Attributes
    ----------
    person :
        The login of whoever wires it, after `check_login`.
    """

    settings: Settings
    record: Record
    host: str = field(default_factory=lambda: os.environ.get("GH_HOST") or PUBLIC)
    person: str = ""

    def __post_init__(self) -> None:
        self.api = GitHubApi(self.host)
        login = ("-c", "credential.helper=", "-c", "credential.helper=!gh auth git-credential")
        self.git = LocalGit(self.settings.root, login)

    @property
    def url(self) -> str:
        return f"https://{self.host}/{self.settings.repository}"

    @property
    def base(self) -> str:
        """Return its path in GitHub's interface."""
        return f"repos/{self.settings.repository}"

    def check_login(self) -> None:
        """Check that somebody is logged in who may wire it.

        Raises
        ------
        MlopsError
            Nobody is, a scope is missing, or the owner is still the placeholder.
        """
        find("git")
        owner = self.settings.repository.partition("/")[0]
        if owner == PLACEHOLDER:
            raise ConfigError(
                f"The repository in project.yml is {self.settings.repository}, and {owner} only "
                "stands for its owner.",
                "Set `repository` to OWNER/NAME, with your own login or an organization.",
            )
        answer = self.api.answer("GET", "user")
        scopes = answer.headers.get("X-OAuth-Scopes")  # only of classic tokens
        missing = set(SCOPES) - set(re.split(r", *", scopes or ""))
        if scopes and missing:
            raise ConfigError(
                f"gh's login lacks the scopes {', '.join(sorted(missing))}.",
                f"gh auth refresh --hostname {self.host} --scopes {','.join(SCOPES)}",
            )
        self.person = str(answer.content["login"])

    def find(self) -> dict[str, Any] | None:
        """Return the repository, or None if there is none that this login can see."""
        found: dict[str, Any] | None = self.api.call("GET", self.base, missing=None)
        return found

    def need(self) -> dict[str, Any]:
        """Return the repository.

        Raises
        ------
        Waits
            It does not exist yet.
        """
        found = self.find()
        if found is None:
            raise Waits("look at the tokens, once there is a repository")
        return found

    def look(self, public: bool) -> list[Change]:
        """Look whether it exists, under the name in project.yml.

        Raises
        ------
        MlopsError
            It belongs to somebody else.
        """
        found = self.find()
        if found is None:
            kind = "public" if public else "private"
            return [Change(f"create {self.url}, {kind}", lambda: self._create(public))]
        if not (found.get("permissions") or {}).get("admin", True):
            raise MlopsError(
                f"{self.person} may not administer {self.url}.",
                "Ask one of its administrators to connect it.",
            )
        name = str(found["full_name"])
        if name != self.settings.repository:
            # The subject of its tokens has this name, in this case.
            return [Change(f"write its name, {name}, to project.yml", lambda: self._rename(name))]
        return []

    def look_at_push(self) -> list[Change]:
        """Look whether it has this project's commits."""
        return self.git.look_at_remote(f"{self.url}.git", self.find() is not None)

    def look_at_default_branch(self) -> list[Change]:
        """Look whether the workflows' branch is the default."""
        found = self.find()
        if found is None or found["default_branch"] == BRANCH:
            return []
        text = f"make {BRANCH} the default branch instead of {found['default_branch']}"
        body = {"default_branch": BRANCH}
        return [Change(text, lambda: self.change_setting(self.base, found, body, "PATCH"))]

    def subject(self) -> Subject:
        """Return what its tokens say.

        Raises
        ------
        Waits
            It does not exist yet.
        MlopsError
            They say something else than repository and environment.
        """
        found = self.need()
        path = f"{self.base}/actions/oidc/customization/sub"
        custom = self.api.call("GET", path, missing={})
        if custom.get("use_default") is False:
            raise MlopsError(
                "The subject of the repository's tokens is made of "
                f"{', '.join(custom.get('include_claim_keys', ()))}; infra/ needs the default.",
                f"gh api --method PUT {path} -F use_default=true",
            )
        prefix = custom.get("sub_claim_prefix") or f"repo:{found['full_name']}"
        return Subject(prefix, issuer_of(self.host))

    def look_at_subject(self) -> list[Change]:
        """Look whether infra/ builds the subject in the form that the tokens have."""
        variables = self.subject().variables()
        message = "Let Azure know this repository's tokens: infra/{}.tfvars"
        return [
            change
            for name in ENVIRONMENTS
            for change in tfvars.look(self.git, name, NAMES, variables, message.format(name))
        ]

    def change_setting(
        self, path: str, current: Mapping[str, Any], body: Mapping[str, Any], method: str = "PUT"
    ) -> None:
        """Change a setting, and record its former values."""
        before = {name: current[name] for name in body if name in current}
        if before:
            self.record.add(Undo(f"the setting {path}", SERVICE, method, path, before))
        self.api.call(method, path, body)

    def set_variables(self, place: str, wanted: Mapping[str, str]) -> list[Change]:
        """Return what is left to do until an environment has these variables.

        Parameters
        ----------
        place : str
            ``environments/NAME``, or ``actions`` for those of the repository.
        """
        current = self.variables(place)
        left = {name: value for name, value in wanted.items() if current.get(name) != value}
        if not left:
            return []

        def act() -> None:
            for name, value in left.items():
                self._set_variable(place, name, value, current.get(name))

        return [Change(f"set {', '.join(left)}", act)]

    def variables(self, place: str) -> dict[str, str]:
        """Return the variables of an environment or of the repository."""
        path = f"{self.base}/{place}/variables?per_page=30"
        found = self.api.call("GET", path, missing={"variables": []})
        return {str(one["name"]): str(one["value"]) for one in found["variables"]}

    def _set_variable(self, place: str, name: str, value: str, before: str | None) -> None:
        path = f"{self.base}/{place}/variables"
        if before is not None:
            self.api.call("PATCH", f"{path}/{name}", {"value": value})
            return
        undo = Undo(f"the variable {name} of {place}", SERVICE, "DELETE", f"{path}/{name}")
        self.record.add(undo)
        self.api.call("POST", path, {"name": name, "value": value})

    def _create(self, public: bool) -> None:
        owner, _, name = self.settings.repository.partition("/")
        mine = owner.lower() == self.person.lower()
        path = "user/repos" if mine else f"orgs/{owner}/repos"
        self.api.call("POST", path, {"name": name, "private": not public})

    def _rename(self, name: str) -> None:
        write_repository(self.settings.root, name)
        self.git.commit(f"The repository is {name}", "project.yml")
        self.settings = replace(self.settings, repository=name)
