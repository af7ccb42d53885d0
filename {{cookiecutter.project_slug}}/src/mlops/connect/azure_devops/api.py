"""Azure DevOps' REST interface for a person: an organization, by a token of `az` or one's own."""

from __future__ import annotations

import base64
import http.client
import os
import re
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from mlops.ci.azure_devops import STABLE, ask, wants_login
from mlops.ci.rest import Response
from mlops.connect.programs import INSTALL, run
from mlops.connect.steps import Waits
from mlops.errors import ConfigError, MlopsError, first_line, safe
from mlops.waiting import wait_until

AUDIENCE: Final = "499b84ac-1321-427f-aa17-267ca6975798"
VARIABLE: Final = "AZURE_DEVOPS_EXT_PAT"
PUBLIC: Final = "https://dev.azure.com/"
TOKEN_SECONDS: Final = 240  # `az` hands out tokens that are valid for five minutes or more
WAIT_SECONDS: Final = 300.0
NO_PROJECT: Final = "VS800075"  # there is no such project, or not for this login
ABSENT: Final = object()

Json = dict[str, Any]
Found = TypeVar("Found")


@dataclass
class Login:
    """Who calls: whoever owns the token in AZURE_DEVOPS_EXT_PAT, or is logged in with `az`."""

    _token: str = field(default="", repr=False)
    _fetched: float = 0.0

    @property
    def own(self) -> str:
        """Return the personal access token that is given, or ""."""
        return os.environ.get(VARIABLE, "").strip()

    @property
    def fix(self) -> str:
        """Return what to do if Azure DevOps does not accept the login."""
        if self.own:
            return f"Replace the token in {VARIABLE}, or unset it and run `az login`."
        return f"az login, as somebody who belongs to the organization; or set {VARIABLE}."

    def header(self) -> str:
        """Return the content of the header Authorization.

        Raises
        ------
        ConfigError
            Nobody is logged in.
        """
        if self.own:
            return "Basic " + base64.b64encode(f":{self.own}".encode()).decode()
        if not self._token or time.monotonic() > self._fetched + TOKEN_SECONDS:
            self._token, self._fetched = self._fetch(), time.monotonic()
        return f"Bearer {self._token}"

    def _fetch(self) -> str:
        words = ("account", "get-access-token", "--resource", AUDIENCE)
        try:
            done = run("az", *words, "--query", "accessToken", "--output", "tsv")
        except ConfigError as error:
            raise ConfigError(
                f"There is no login to Azure DevOps: {error}", f"{INSTALL['az']} Or set {VARIABLE}."
            ) from None
        if done.code or not done.output.strip():
            raise ConfigError(f"az has no token for Azure DevOps: {done.reason}", self.fix)
        return done.output.strip()


@dataclass(frozen=True)
class Organization:
    """An organization, by its address."""

    url: str
    login: Login = field(default_factory=Login)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        version: str = STABLE,
        missing: Any = ABSENT,
        **query: str,
    ) -> Any:
        """Call it, again while it is busy; return the answer, or ``missing`` after a 404.

        Raises
        ------
        MlopsError
            Azure DevOps refused the call, or cannot be reached.
        """
        given = {**query, "api-version": version}
        answer = self._answer(method, f"{self.url}/{path}", given, body)
        is_missing = answer.status == 404 or NO_PROJECT in answer.message
        if is_missing and missing is not ABSENT:
            return missing
        return self._accepted(method, path, answer).content

    def values(self, path: str, version: str = STABLE, **query: str) -> list[Json]:
        """Return a list, of all pages.

        Raises
        ------
        MlopsError
            Azure DevOps refused the call, or cannot be reached.
        """
        found: list[Json] = []
        given = {**query, "api-version": version}
        while True:
            answer = self._answer("GET", f"{self.url}/{path}", given, None)
            found += self._accepted("GET", path, answer).content["value"]
            token = answer.headers.get("x-ms-continuationtoken", "")
            if not token:
                return found
            given["continuationToken"] = token

    def people(self, who: str) -> list[Json]:
        """Return the people and groups with a name or an address."""
        url = self.url
        if url.startswith(PUBLIC):
            url = url.replace("https://", "https://vssps.", 1)
        directory = Organization(url, self.login)
        return directory.values("_apis/identities", searchFilter="General", filterValue=who)

    def _answer(self, method: str, url: str, query: dict[str, str], body: Any) -> Response:
        try:
            answer = ask(method, url, self.login.header(), query, body)
        except (OSError, http.client.HTTPException) as error:
            raise MlopsError(
                f"Azure DevOps did not answer {method} {_path(url)}: {first_line(error)}",
                "Check the network, the proxy and https://status.dev.azure.com.",
            ) from None
        if wants_login(answer):
            raise ConfigError(
                f"Azure DevOps did not accept the login for {method} {_path(url)}.", self.login.fix
            )
        return answer

    def _accepted(self, method: str, path: str, answer: Response) -> Response:
        if answer.status < 300:
            return answer
        raise MlopsError(
            f"Azure DevOps refused {method} {_path(path)}: {safe(answer.message)} "
            f"(HTTP {answer.status}).",
            self._fix(answer),
        )

    def _fix(self, answer: Response) -> str:
        if answer.status in (403, 404):
            token = f"; or give the token in {VARIABLE} full access" * bool(self.login.own)
            return f"Ask an administrator of the project to connect it, or to make you one{token}."
        if answer.status == 409:
            return "Somebody made or changed the same just now, or you may not see it: look there."
        if answer.status >= 500 or answer.status == 429:
            return "Wait a few minutes."
        return "Correct what Azure DevOps names."


def wait_for(what: str, look: Callable[[], Found | None], seconds: float = WAIT_SECONDS) -> Found:
    """Look until there is something.

    Raises
    ------
    MlopsError
        There was nothing in time.
    """
    found = wait_until(lambda found: found is not None, look, seconds)
    if found is None:
        raise MlopsError(
            f"Azure DevOps has not finished {what} after {seconds:.0f} seconds.",
            "Look there, and wait a few minutes.",
        )
    return found


def present(found: Json | None, what: str) -> Json:
    """Return what was found.

    Raises
    ------
    Waits
        It does not exist yet.
    """
    if found is None:
        raise Waits(f"waits for {what}")
    return found


def quote(name: str) -> str:
    """Return a name as a part of an address."""
    return urllib.parse.quote(name, safe="")


def organization_of(remote: str) -> tuple[str, str] | None:
    """Return the organization's address and PROJECT/REPOSITORY of a git remote, if it has them."""
    forms = (
        r"(?:git@|ssh://git@)ssh\.(dev\.azure\.com)(?::|/)v3/([^/]+)/([^/]+)/([^/]+)",
        r"https://(?:[^/@]*@)?([^/.]+)(\.visualstudio\.com)/(?:DefaultCollection/)?(?:([^/]+)/)?_git/([^/]+)",
        r"(https?://)(?:[^/@]*@)?([^/]+/[^/]+)/(?:([^/]+)/)?_git/([^/]+)",
    )
    for number, form in enumerate(forms):
        if found := re.fullmatch(form, remote.rstrip("/")):
            first, second, project, name = found.groups()
            url = (PUBLIC + second, PUBLIC + first, first + second)[number]
            return url, urllib.parse.unquote(f"{project or name}/{name}")
    return None


def _path(url: str) -> str:
    return urllib.parse.urlsplit(url).path
