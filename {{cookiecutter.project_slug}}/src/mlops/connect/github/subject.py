"""What the tokens of a repository's jobs say, in the form that this repository uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mlops.connect.github.api import PUBLIC

NAMES: Final = ("github_ids", "github_issuer")


@dataclass(frozen=True)
class Subject:
    """Who signs the tokens, and how their subject begins.

    Attributes
    ----------
    prefix :
        ``repo:OWNER/NAME``, or ``repo:OWNER@ID/NAME@ID`` for repositories that were created,
        renamed or moved since July 2026.
    """

    prefix: str
    issuer: str

    @property
    def ids(self) -> tuple[str, str] | None:
        """Return the ids of owner and repository, if tokens contain them."""
        found = re.fullmatch(r"repo:[^/@]+@(\d+)/[^/@]+@(\d+)", self.prefix)
        return (found[1], found[2]) if found else None

    def of(self, environment: str) -> str:
        """Return the subject of the jobs in an environment."""
        return f"{self.prefix}:environment:{environment}"

    def variables(self) -> dict[str, str]:
        """Return the variables with which Terraform builds it, as HCL."""
        given = {}
        if self.ids:
            owner, repository = self.ids
            given["github_ids"] = f'{{ owner = "{owner}", repository = "{repository}" }}'
        if self.issuer != issuer_of(PUBLIC):
            given["github_issuer"] = f'"{self.issuer}"'
        return given


def issuer_of(host: str) -> str:
    """Return who signs the tokens of a server's jobs.

    Source: "OpenID Connect reference", docs.github.com.
    """
    if host == PUBLIC:
        return "https://token.actions.githubusercontent.com"
    if host.endswith(".ghe.com"):
        return f"https://token.actions.{host}"
    return f"https://{host}/_services/token"
