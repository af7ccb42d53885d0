"""GitHub's REST interface, by `gh`: its login, its proxies, and its hosts."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from typing import Any, Final

from mlops.ci.rest import Response, repeat
from mlops.connect.programs import run
from mlops.connect.steps import Limit, Unseen
from mlops.errors import ConfigError, MlopsError, safe

PUBLIC: Final = "github.com"
NO_LOGIN: Final = 4  # gh's exit code without any token
UPGRADE: Final = ("Upgrade to GitHub", "billing plan")
ABSENT: Final = object()


class RefusedError(Unseen):
    """GitHub refused a call, with an HTTP status."""

    def __init__(self, message: str, fix: str, status: int) -> None:
        super().__init__(message, fix)
        self.status = status


@dataclass(frozen=True)
class GitHubApi:
    """The interface of one server.

    Attributes
    ----------
    host :
        github.com, SUBDOMAIN.ghe.com, or that of an Enterprise Server.
    """

    host: str = PUBLIC

    @property
    def login(self) -> str:
        """Return the command that logs in."""
        return f"gh auth login --hostname {self.host} --scopes repo,workflow,read:org"

    def call(self, method: str, path: str, body: Any = None, missing: Any = ABSENT) -> Any:
        """Call it, again while it is busy; return the answer, or ``missing`` after a 404.

        Raises
        ------
        RefusedError
            GitHub refused the call.
        Limit
            The plan of the account does not have it.
        Unseen
            GitHub cannot be reached.
        ConfigError
            Nobody is logged in.
        """
        return self.answer(method, path, body, missing).content

    def answer(self, method: str, path: str, body: Any = None, missing: Any = ABSENT) -> Response:
        """As `call`, with the headers."""
        try:
            answer = repeat(method, lambda: self._once(method, path, body))
        except ConnectionError as error:
            raise Unseen(
                f"{self.host} cannot be reached for {method} {path}: {error}",
                "Check the network, the proxy and https://www.githubstatus.com.",
            ) from error
        if answer.status == 404 and missing is not ABSENT:
            return Response(404, answer.headers, missing)
        if answer.status >= 300:
            raise self._refusal(method, path, answer)
        return answer

    def _once(self, method: str, path: str, body: Any) -> Response:
        words = ["api", "--include", "--hostname", self.host, "--method", method, path]
        given = None if body is None else json.dumps(body)
        done = run("gh", *words, *(["--input", "-"] if given else []), given=given)
        found = re.match(r"HTTP/[\d.]+ (\d{3})", done.output)
        if found:
            head, _, content = re.sub(r"\r\n?", "\n", done.output).partition("\n\n")
            headers: Message = HeaderParser().parsestr(head.partition("\n")[2])
            return Response(int(found[1]), headers, _parse(content))
        if done.code == NO_LOGIN or "gh auth login" in done.errors:
            raise ConfigError(f"gh is not logged in to {self.host}.", self.login)
        raise ConnectionError(done.reason)

    def _refusal(self, method: str, path: str, answer: Response) -> MlopsError:
        """Return why GitHub refused a call, and what to do."""
        what = f"GitHub refused {method} {path.partition('?')[0]}"
        text = safe(f"{what}: {_reasons(answer)} (HTTP {answer.status}).")
        if any(word in answer.message for word in UPGRADE):
            return Limit(text, "Use a plan with this feature, or make the repository public.")
        return RefusedError(text, self._fix(answer), answer.status)

    def _fix(self, answer: Response) -> str:
        given = "GH_TOKEN" if os.environ.get("GH_TOKEN") else ""
        if answer.status == 401:
            return f"The login is not valid any more: {f'replace {given}' if given else self.login}"
        if url := re.search(r"url=(\S+)", answer.headers.get("X-GitHub-SSO", "")):
            return f"Authorize the login for the organization: {url[1]}"
        if needed := answer.headers.get("X-Accepted-GitHub-Permissions"):
            return f"Give the token these permissions on the repository: {needed}"
        scopes = _scopes(answer, "X-Accepted-OAuth-Scopes")
        if scopes and not scopes & _scopes(answer, "X-OAuth-Scopes"):
            return f"gh auth refresh --hostname {self.host} --scopes {','.join(sorted(scopes))}"
        if answer.status in (403, 404):
            return "Ask an administrator of the repository, or become one."
        if answer.status >= 500 or answer.status == 429:
            return "Wait a few minutes."
        return "Correct what GitHub names."


def _scopes(answer: Response, name: str) -> set[str]:
    return {scope.strip() for scope in answer.headers.get(name, "").split(",") if scope.strip()}


def _reasons(answer: Response) -> str:
    """Return the message with its details, which GitHub gives as texts or as fields."""
    details = answer.content.get("errors", ()) if isinstance(answer.content, dict) else ()
    texts = [
        one if isinstance(one, str) else one.get("message") or f"{one.get('field')} {one['code']}"
        for one in details
    ]
    return ": ".join([answer.message.rstrip("."), *texts])


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
