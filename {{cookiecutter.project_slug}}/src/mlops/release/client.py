"""Sends rows to a scoring endpoint, wherever that is."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping

from mlops.errors import ReleaseError
from mlops.release.target import Answer

AGAIN = "Run the same command again; if that fails, too, find out why the server is silent."


def send_rows(
    url: str, body: bytes, patience: float, headers: Mapping[str, str] | None = None
) -> Answer:
    """POST a JSON body and return the answer, whatever its status.

    Parameters
    ----------
    patience : float
        Seconds to wait.
    headers : mapping, optional
        More than the content's type.

    Raises
    ------
    ReleaseError
        There is no answer, or none in time.
    """
    request = urllib.request.Request(  # noqa: S310 -- the endpoint itself gave the address
        url, data=body, headers={"Content-Type": "application/json", **(headers or {})}
    )
    start = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=patience) as answer:  # noqa: S310
            return Answer(answer.status, answer.read(), time.perf_counter() - start)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), time.perf_counter() - start)
    except TimeoutError:
        raise ReleaseError(f"No answer within {patience:g} s.", AGAIN) from None
    except (OSError, http.client.HTTPException) as error:
        raise ReleaseError(f"No answer: {error}", AGAIN) from None
