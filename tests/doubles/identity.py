"""Entra tokens: real JWTs, signed with a key that only the double has."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterable
from typing import Any

from doubles import TENANT
from doubles.web import AzureError

OBJECT = "66666666-7777-8888-9999-000000000000"
LIFETIME_S = 3600
ASSERTION_S = 300  # GitHub's tokens (actions/toolkit#2048)


class Identity:
    """Issues and checks tokens; a test can shorten their lives.

    Attributes
    ----------
    lifetime :
        How long a token lives, in seconds.
    assertion :
        How long a CI job's proof of its identity lives, in seconds.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self.lifetime = LIFETIME_S
        self.assertion = ASSERTION_S
        self._lock = threading.Lock()
        self._issued = 0
        self._revoked = 0

    def issue(self, audience: str, lifetime: int | None = None, **claims: Any) -> tuple[str, int]:
        """Return a token for an audience, and its expiry in seconds since 1970."""
        with self._lock:
            self._issued += 1
            number = self._issued
        now = int(time.time())
        expires = now + (self.lifetime if lifetime is None else lifetime)
        payload = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{TENANT}/",
            "tid": TENANT,
            "oid": OBJECT,
            "upn": "tester@example.com",
            "name": "Tester",
            "iat": now,
            "nbf": now,
            "exp": expires,
            "jti": str(number),
            **claims,
        }
        signed = ".".join(_encode(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "HS256"}, payload))
        return f"{signed}.{_encode(self._sign(signed))}", expires

    def expire_all(self) -> None:
        """Expire every token issued so far."""
        with self._lock:
            self._revoked = self._issued

    def check(self, header: str | None, audiences: Iterable[str]) -> dict[str, Any]:
        """Return the claims of an Authorization header's token.

        Raises
        ------
        AzureError
            401 with Azure's text: the token is missing, forged, expired, or for another audience.
        """
        if not header:
            message = "Authentication failed. The 'Authorization' header is missing."
            raise _unauthorized("AuthenticationFailed", message)
        scheme, _, token = header.partition(" ")
        claims = self.read(token) if scheme.lower() == "bearer" else None
        if claims is None:
            raise _unauthorized("InvalidAuthenticationToken", "The access token is invalid.")
        if int(claims["jti"]) <= self._revoked or claims["exp"] < time.time():
            then, now = (time.strftime("%m/%d/%Y %I:%M:%S %p", time.gmtime(at)) for at in (claims["exp"], time.time()))
            message = f"The access token expiry UTC time '{then}' is earlier than current UTC time '{now}'."
            raise _unauthorized("ExpiredAuthenticationToken", message)
        allowed = [audience.rstrip("/") for audience in audiences]
        if claims["aud"].rstrip("/") not in allowed:
            message = (
                f"The access token has been obtained for wrong audience or resource '{claims['aud']}'. It should "
                f"exactly match with one of the allowed audiences '{','.join(allowed)}'."
            )
            raise _unauthorized("InvalidAuthenticationTokenAudience", message)
        return claims

    def read(self, token: str) -> dict[str, Any] | None:
        """Return a token's claims, or None if it is forged."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, _encode(self._sign(signed))):
            return None
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
        return claims

    def _sign(self, text: str) -> bytes:
        return hmac.new(self._key, text.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unauthorized(code: str, message: str) -> AzureError:
    challenge = (
        f'Bearer authorization_uri="https://login.windows.net/{TENANT}", error="invalid_token", '
        f'error_description="{message}"'
    )
    return AzureError(401, code, message, headers={"WWW-Authenticate": challenge})
