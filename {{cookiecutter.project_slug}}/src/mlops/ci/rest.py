"""Call the interface of a CI platform with a job's token, and with the standard library alone."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any, Final

SECONDS: Final = 30
ATTEMPTS: Final = 4
LONGEST_PAUSE: Final = 60  # seconds


@dataclass(frozen=True)
class Response:
    """An answer; ``content`` is None where it is not JSON."""

    status: int
    headers: Message  # by names in any case
    content: Any

    @property
    def message(self) -> str:
        """Return why the server refused, as far as it says."""
        found = self.content.get("message") if isinstance(self.content, dict) else None
        return str(found or http.client.responses.get(self.status, "no reason given"))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would take the token to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


def send(method: str, url: str, token: str, headers: Mapping[str, str], body: Any) -> Response:
    """Send a request, again while the server is busy or silent.

    A POST that got no answer may have been carried out, so it is not sent again.

    Raises
    ------
    OSError, http.client.HTTPException
        There was no answer.
    """
    common = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 -- the platform gives the address
        url, content, {**common, **headers}, method=method
    )
    return repeat(method, lambda: _send(request))


def repeat(method: str, attempt: Callable[[], Response]) -> Response:
    """Send a request, again while the server is busy or silent.

    Raises
    ------
    OSError, http.client.HTTPException
        There was no answer to the last attempt.
    """
    for number in range(1, ATTEMPTS):
        try:
            response = attempt()
        except (OSError, http.client.HTTPException):
            if method == "POST":
                raise
            time.sleep(2**number)
            continue
        if not _is_busy(response, method):
            return response
        time.sleep(_pause(response, number))
    return attempt()


def _send(request: urllib.request.Request) -> Response:
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return Response(answer.status, answer.headers, _parse(answer.read()))
    except urllib.error.HTTPError as error:
        return Response(error.code, error.headers, _parse(error.read()))


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _is_busy(response: Response, method: str) -> bool:
    # GitHub's second limit, which does not always say for how long.
    limited = response.status == 403 and (
        "Retry-After" in response.headers or "secondary rate limit" in response.message
    )
    return limited or response.status == 429 or (response.status >= 500 and method != "POST")


def _pause(response: Response, attempt: int) -> float:
    """Return the seconds to wait: those that the server asks for, or more each time."""
    asked = response.headers.get("Retry-After", "")
    if not asked and response.status == 403:
        return LONGEST_PAUSE
    return min(float(asked) if re.fullmatch(r"\d+(\.\d+)?", asked) else 2**attempt, LONGEST_PAUSE)
