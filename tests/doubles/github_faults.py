"""How GitHub fails a person's call. Sources: "Troubleshooting the REST API" and "Rate limits", docs.github.com.

The message of a single sign-on's refusal could not be looked up, nor that of a missing scope: their headers are what
clients read (cli/cli, `pkg/cmd/factory/default.go`; tried with gh 2.102.0).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SLOW_DOWN = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
SIGN_ON = {"X-GitHub-SSO": "required; url=https://github.com/orgs/acme/sso?authorization_request=AA"}
LACKING = {"X-OAuth-Scopes": "gist", "X-Accepted-OAuth-Scopes": "repo"}
NO_RIGHT = {"X-Accepted-GitHub-Permissions": "administration=write"}
# The status, the message, and the headers; a message that starts with < is a page.
KINDS: Mapping[str, tuple[int, str, Mapping[str, str]]] = {
    "bad-credentials": (401, "Bad credentials", {}),
    "missing-scope": (403, "Forbidden", LACKING),
    "missing-right": (403, "Resource not accessible by personal access token", NO_RIGHT),
    "sign-on": (403, "Resource protected by organization SAML enforcement.", SIGN_ON),
    "not-found": (404, "Not Found", {}),
    "conflict": (409, "Conflict", {}),
    "invalid": (422, "Validation Failed", {}),
    "limited": (429, SLOW_DOWN, {"Retry-After": "1"}),
    "limited-forbidden": (403, SLOW_DOWN, {"Retry-After": "1"}),
    "bad-gateway": (502, "<html><title>502 Bad Gateway</title></html>", {}),
    "dropped": (0, "", {}),
}


@dataclass
class Fault:
    """A failure of the calls that match.

    Attributes
    ----------
    kind :
        One of KINDS; "dropped" closes the connection without an answer.
    path :
        A regex that is searched in the path.
    skip, count :
        How many matching calls succeed first, and how many then fail.
    is_carried_out :
        Whether the request has its effect nevertheless.
    """

    kind: str
    method: str
    path: str
    skip: int = 0
    count: int = 1
    is_carried_out: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def hits(self, method: str, path: str) -> bool:
        """Return whether this call fails, and count it."""
        if method != self.method or not re.search(self.path, path):
            return False
        self.skip -= 1
        return -self.count <= self.skip < 0

    def answer(self) -> tuple[int, Any, dict[str, str]]:
        """Return the status, the content and the headers."""
        status, message, headers = KINDS[self.kind]
        content = message if message.startswith("<") else {"message": message, "status": str(status)}
        return status, content, {**headers, **self.headers}
