"""Talk to a scoring server: wait for it, send it rows, and find the error in its log."""

from __future__ import annotations

import http.client
import ipaddress
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from mlops.errors import ReleaseError
from mlops.release.target import Answer

LOCAL: Final = "http://127.0.0.1:"
NO_PROXY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
RETRY: Final = "Run the same command again; if that fails too, check the server log."
INSIDE: Final = (
    "is an address in the environment's own network: run the same command in that network, for "
    "example on the runner of docs/infrastructure.md."
)
SCORING: Final = re.compile(r" is scored by (arrays|the model itself)")
# An error as Python prints it, but not the server's own, which wraps the model's.
ERROR: Final = re.compile(r"^(?!azureml_inference_server_http)[\w.]*(?:Error|Exception)\b.*", re.M)


def send_rows(
    url: str, body: bytes, timeout_s: float, headers: Mapping[str, str] | None = None
) -> Answer:
    """POST a JSON body and return the answer, whatever its status.

    Raises
    ------
    ReleaseError
        There is no answer within ``timeout_s``.
    """
    request = urllib.request.Request(  # noqa: S310 -- the address comes from the endpoint
        url, data=body, headers={"Content-Type": "application/json", **(headers or {})}
    )
    start = time.perf_counter()
    try:
        with _open(request, timeout_s) as answer:
            return Answer(answer.status, answer.read(), time.perf_counter() - start)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), time.perf_counter() - start)
    except TimeoutError:
        raise ReleaseError(f"No answer within {timeout_s:g} s.", _advise(url)) from None
    except (OSError, http.client.HTTPException) as error:
        raise ReleaseError(f"No answer: {error}", _advise(url)) from None


def _advise(url: str) -> str:
    """Say what to do about an address that does not answer."""
    host = urllib.parse.urlsplit(url).hostname or ""
    return f"{host} {INSIDE}" if is_private(host) else RETRY


def is_private(host: str) -> bool:
    """Return whether an address can be reached from within its network only."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private and not address.is_loopback


def is_up(url: str) -> bool:
    """Return whether a server answers GET with status 200."""
    try:
        with _open(url, 5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def _open(request: str | urllib.request.Request, timeout_s: float) -> Any:
    """Open an address: on this machine directly, elsewhere through the environment's proxy."""
    url = request if isinstance(request, str) else request.full_url
    opened = NO_PROXY.open if url.startswith(LOCAL) else urllib.request.urlopen
    return opened(request, timeout=timeout_s)


def last_error(log: str) -> str:
    """Return the last error in a server's log, or its last line."""
    lines = ERROR.findall(log) or log.strip().splitlines() or ["the log is empty"]
    return str(lines[-1]).strip()


def scored_by(log: str) -> str:
    """Return what a server's log says about how it scores rows."""
    found = SCORING.findall(log)
    return str(found[-1]) if found else ""
