"""A project on Azure DevOps, and its repository: where they are, and whether they exist."""

from __future__ import annotations

import os
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import Any, Final

from mlops.ci.azure_devops import STABLE
from mlops.connect.azure_devops.api import (
    ABSENT,
    PUBLIC,
    Json,
    Organization,
    organization_of,
    present,
    quote,
    wait_for,
)
from mlops.connect.local_git import LocalGit
from mlops.connect.settings import PLACEHOLDER, Settings
from mlops.connect.steps import Change, Record, Undo, Waits
from mlops.errors import ConfigError, MlopsError

SERVICE: Final = "azure-devops"
VARIABLE: Final = "AZURE_DEVOPS_ORG_URL"
READY: Final = "wellFormed"


@dataclass
class Project:
    """The project and the repository that project.yml names.

    Attributes
    ----------
    given :
        The address of the organization, if a person named it.
    """

    settings: Settings
    record: Record
    given: str = ""
    _organization: Organization | None = None
    _known: dict[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.git = LocalGit(self.settings.root, secrets=self._git_login)

    @property
    def name(self) -> str:
        return self.settings.repository.partition("/")[0]

    @property
    def repository_name(self) -> str:
        return self.settings.repository.partition("/")[2]

    @property
    def organization(self) -> Organization:
        """Return the organization: the given one, or that of the remote or of the environment.

        Raises
        ------
        ConfigError
            None is named, or two.
        """
        if self._organization is None:
            self._organization = Organization(self._organization_url())
        return self._organization

    @property
    def url(self) -> str:
        return f"{self.organization.url}/{quote(self.name)}"

    @property
    def git_url(self) -> str:
        return f"{self.url}/_git/{quote(self.repository_name)}"

    def check_login(self) -> None:
        """Check that the names are set, and that somebody is logged in.

        Raises
        ------
        MlopsError
            A name is still the placeholder, or the login is not accepted.
        """
        if self.name == PLACEHOLDER:
            raise ConfigError(
                f"The repository in project.yml is {self.settings.repository}, and {PLACEHOLDER} "
                "only stands for its project.",
                "Set `repository` to PROJECT/REPOSITORY; both are created if they do not exist.",
            )
        self.find()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        version: str = STABLE,
        missing: Any = ABSENT,
        **query: str,
    ) -> Any:
        """Call the project's interface; see `Organization.call`."""
        where = f"{quote(self.name)}/_apis/{path}"
        return self.organization.call(method, where, body, version, missing, **query)

    def values(self, path: str, version: str = STABLE, **query: str) -> list[Json]:
        """Return a list of the project's interface."""
        return self.organization.values(f"{quote(self.name)}/_apis/{path}", version, **query)

    def find(self) -> Json | None:
        """Return the project, or None if there is none that this login can see."""
        path = f"_apis/projects/{quote(self.name)}"
        found: Json | None = self.organization.call("GET", path, missing=None)
        return found

    def need(self) -> Json:
        """Return the project.

        Raises
        ------
        Waits
            It does not exist yet.
        """
        if "project" not in self._known:
            found = self.find()
            if found is None or found["state"] != READY:
                raise Waits(f"waits for the project {self.name}")
            self._known["project"] = found
        return self._known["project"]

    def look(self) -> list[Change]:
        """Look whether the project exists."""
        found = self.find()
        if found is None:
            return [Change(f"create the project {self.url}, private", self._create)]
        if found["state"] != READY:
            return [Change("wait until it is created", self._await)]
        return []

    def look_at_repository(self) -> list[Change]:
        """Look whether the repository exists."""
        if self._find_repository() is None:
            return [Change(f"create {self.git_url}", self._create_repository)]
        return []

    def repository(self) -> Json:
        """Return the repository.

        Raises
        ------
        Waits
            It does not exist yet.
        """
        return present(self._find_repository(), f"the repository {self.repository_name}")

    def look_at_push(self) -> list[Change]:
        """Look whether the repository has this project's commits."""
        try:
            exists = bool(self.repository())
        except Waits:
            exists = False
        return self.git.look_at_remote(self.git_url, exists)

    def reference(self) -> Json:
        """Return how other objects refer to the project."""
        return {"id": self.need()["id"], "name": self.name}

    def will_create(self, text: str, path: str) -> None:
        """Record what is about to be created; by name, as its id is not known before."""
        self.record.add(Undo(text, SERVICE, "DELETE", path))

    def _organization_url(self) -> str:
        remote = self.git.remote()
        there = organization_of(remote)
        if remote and there is None:
            raise ConfigError(
                f"{remote} is not a repository of Azure DevOps, and connect wires no other.",
                "Remove the remote (git remote remove origin; all commits are kept), or connect it "
                "by hand: docs/azure-pipelines.md.",
            )
        url = self.given or (there[0] if there else os.environ.get(VARIABLE, ""))
        url = url.strip().rstrip("/")
        if not re.fullmatch(r"https?://[^/@\s]+/[^/\s]+", url):
            raise ConfigError(
                f"{url} is not the address of an organization."
                if url
                else "The organization of Azure DevOps is not known.",
                f"Name it: --organization {PUBLIC}ORGANIZATION (also {VARIABLE}).",
            )
        wanted = (url, self.settings.repository)
        if there and [part.lower() for part in there] != [part.lower() for part in wanted]:
            raise ConfigError(
                f"The remote origin is {remote}, and project.yml and --organization name "
                f"{self.settings.repository} of {url}.",
                "Correct `repository` in project.yml, or remove the remote (all commits are kept): "
                "git remote remove origin",
            )
        return url

    def _git_login(self) -> dict[str, str]:
        """Return the variables by which git logs in, beside those that are set."""
        remote = urllib.parse.urlsplit(self.git.remote())
        if remote.scheme not in ("http", "https"):
            return {}
        count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
        host = remote.netloc.rpartition("@")[2]
        return {
            "GIT_CONFIG_COUNT": str(count + 1),
            f"GIT_CONFIG_KEY_{count}": f"http.{remote.scheme}://{host}/.extraHeader",
            f"GIT_CONFIG_VALUE_{count}": f"Authorization: {self.organization.login.header()}",
        }

    def _create(self) -> None:
        templates = self.organization.values("_apis/process/processes")
        chosen = next((one for one in templates if one.get("isDefault")), templates[0])
        body = {
            "name": self.name,
            "description": self.settings.name,
            "capabilities": {
                "versioncontrol": {"sourceControlType": "Git"},
                "processTemplate": {"templateTypeId": chosen["id"]},
            },
        }
        operation = self.organization.call("POST", "_apis/projects", body)
        wait_for(f"the project {self.name}", lambda: self._ended(operation["id"]))
        self._await()

    def _ended(self, operation: str) -> Json | None:
        found: Json = self.organization.call("GET", f"_apis/operations/{operation}")
        if found["status"] in ("failed", "cancelled"):
            raise MlopsError(
                f"Azure DevOps did not create the project {self.name}: its operation "
                f"{found['status']}. {found.get('resultMessage') or ''}",
                f"Look there, or create it by hand: {self.organization.url}",
            )
        return found if found["status"] == "succeeded" else None

    def _await(self) -> None:
        def look() -> Json | None:
            found = self.find()
            return found if found and found["state"] == READY else None

        wait_for(f"the project {self.name}", look)

    def _find_repository(self) -> Json | None:
        self.need()
        if "repository" not in self._known:
            path = f"git/repositories/{quote(self.repository_name)}"
            found = self.call("GET", path, missing=None)
            if found is None:
                return None
            self._known["repository"] = found
        return self._known["repository"]

    def _create_repository(self) -> None:
        body = {"name": self.repository_name, "project": {"id": self.need()["id"]}}
        self.call("POST", "git/repositories", body)
