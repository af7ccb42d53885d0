"""The REST interface of Azure DevOps."""

from __future__ import annotations

import http.client
import urllib.parse
from dataclasses import dataclass
from typing import Any, Final

from mlops.ci.rest import send
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
        words = urllib.parse.urlencode({**query, "api-version": version})
        name = f"{method} {urllib.parse.urlsplit(f'{self.base}/{path}').path}"
        # Without the last header, a refusal is a page to sign in.
        headers = {"Accept": "application/json", "X-TFS-FedAuthRedirect": "Suppress"}
        try:
            answer = send(method, f"{self.base}/{path}?{words}", self.token, headers, content)
        except (OSError, http.client.HTTPException) as error:
            raise AzureError(
                f"Azure DevOps did not answer {name}: {first_line(error)}",
                "Check the agent's network and https://status.dev.azure.com, then run the job "
                "again.",
            ) from None
        # Also a redirect, or a page to sign in with the status 200 or 203.
        if answer.status == 401 or (answer.status < 400 and not isinstance(answer.content, dict)):
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
