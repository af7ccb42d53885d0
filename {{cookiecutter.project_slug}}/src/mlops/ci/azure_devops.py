"""The REST interface of Azure DevOps."""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlops.ci.rest import Response, send
from mlops.errors import AzureError, first_line, safe

STABLE: Final = "7.1"
PREVIEW: Final = "7.1-preview.1"


@dataclass(frozen=True)
class Api:
    """The REST interface of a project in Azure DevOps."""

    base: str
    token: str

    def call(
        self, method: str, path: str, version: str = STABLE, content: Any = None, **query: str
    ) -> Any:
        """Call it, again while it is busy, and return the content of its answer.

        Raises
        ------
        AzureError
            It refused, or did not answer.
        """
        url = f"{self.base}/{path}"
        name = f"{method} {urllib.parse.urlsplit(url).path}"
        try:
            given = {**query, "api-version": version}
            answer = ask(method, url, f"Bearer {self.token}", given, content)
        except (OSError, http.client.HTTPException) as error:
            raise AzureError(
                f"Azure DevOps did not answer {name}: {first_line(error)}",
                "Check the agent's network and https://status.dev.azure.com, then run the job "
                "again.",
            ) from None
        if wants_login(answer):
            raise AzureError(
                f"Azure DevOps did not accept the job's token for {name}.",
                "Map SYSTEM_ACCESSTOKEN in the step, from $(System.AccessToken), and run the job "
                "again.",
            )
        if answer.status >= 400:
            raise AzureError(
                f"Azure DevOps refused {name} with {answer.status}: {safe(answer.message)}",
                "403 or 404: give the project's Build Service the right to read the environment "
                "and its checks, or to contribute to pull requests. Otherwise, run the job again.",
            )
        return answer.content


def ask(method: str, url: str, login: str, query: Mapping[str, str], content: Any) -> Response:
    """Send a request, again while it is busy.

    Parameters
    ----------
    login : str
        The content of the header Authorization.

    Raises
    ------
    OSError, http.client.HTTPException
        There was no answer.
    """
    # Without the last header, a refusal is a page to sign in.
    headers = {
        "Accept": "application/json",
        "Authorization": login,
        "X-TFS-FedAuthRedirect": "Suppress",
    }
    return send(method, f"{url}?{urllib.parse.urlencode(query)}", "", headers, content)


def wants_login(answer: Response) -> bool:
    """Return whether the token was not accepted.

    The answer may also be a redirect, or a page to sign in with the status 200 or 203.
    """
    is_page = answer.status < 400 and answer.status != 204 and not isinstance(answer.content, dict)
    return answer.status == 401 or is_page
