"""The REST interface of Azure DevOps, for a job that has only the standard library."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

from mlops.errors import AzureError, first_line, safe

STABLE: Final = "7.1"
PREVIEW: Final = "7.1-preview.1"
SECONDS: Final = 30
TRIES: Final = 4
LONGEST_WAIT: Final = 60
BUSY: Final = (429, 500, 502, 503, 504)


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
        request = urllib.request.Request(  # noqa: S310 -- the agent gives the address
            f"{self.base}/{path}?{words}",
            None if content is None else json.dumps(content).encode(),
            {
                "Authorization": f"Bearer {self.token}",
                "Accept": "application/json",
                "Content-Type": "application/json",
                "X-TFS-FedAuthRedirect": "Suppress",  # or a refusal is a page to sign in
            },
            method=method,
        )
        for attempt in range(TRIES):
            try:
                return _answer(request)
            except urllib.error.HTTPError as error:
                # A POST that may have been carried out would be carried out twice.
                busy = error.code == 429 or (error.code in BUSY and method != "POST")
                if not busy or attempt == TRIES - 1:
                    raise _refusal(request, error) from None
                time.sleep(_pause(error, attempt))
            except (OSError, http.client.HTTPException) as error:
                if method == "POST" or attempt == TRIES - 1:
                    raise _no_answer(request, first_line(error)) from None
                time.sleep(2**attempt)
        raise AssertionError("the last attempt returns or raises")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would take the token to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _answer(request: urllib.request.Request) -> Any:
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(request, timeout=SECONDS) as answer:
        try:
            return json.load(answer)
        except ValueError:  # a page to sign in, with status 200 or 203
            raise _not_logged_in(request) from None


def _pause(error: urllib.error.HTTPError, attempt: int) -> float:
    """Return the seconds to wait: those that Azure DevOps asks for, or more each time."""
    asked = error.headers.get("Retry-After", "")
    return min(float(asked) if re.fullmatch(r"\d+(\.\d+)?", asked) else 2**attempt, LONGEST_WAIT)


def _refusal(request: urllib.request.Request, error: urllib.error.HTTPError) -> AzureError:
    if error.code == 401 or 300 <= error.code < 400:
        return _not_logged_in(request)
    try:
        message = str(json.load(error)["message"])
    except (OSError, ValueError, KeyError, TypeError):
        message = str(error.reason)
    return AzureError(
        f"Azure DevOps refused {_name(request)} with {error.code}: {safe(message)}",
        "403 or 404: give the project's Build Service the right to read the environment and its "
        "checks, or to contribute to pull requests. Otherwise, run the job again.",
    )


def _not_logged_in(request: urllib.request.Request) -> AzureError:
    return AzureError(
        f"Azure DevOps did not accept the job's token for {_name(request)}.",
        "Map SYSTEM_ACCESSTOKEN in the step, from $(System.AccessToken), and run the job again.",
    )


def _no_answer(request: urllib.request.Request, reason: str) -> AzureError:
    return AzureError(
        f"Azure DevOps did not answer {_name(request)}: {reason}",
        "Check the agent's network and https://status.dev.azure.com, then run the job again.",
    )


def _name(request: urllib.request.Request) -> str:
    return f"{request.get_method()} {urllib.parse.urlsplit(request.full_url).path}"
