"""Tell those who approve a release what it changes: on the run's page, and by a webhook."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlops.ci.markdown import row

if TYPE_CHECKING:
    from mlops.config import Project
    from mlops.model.registry import Version

SECONDS: Final = 15
SLACK: Final = ("hooks.slack.com", "hooks.slack-gov.com")


@dataclass(frozen=True)
class Announcement:
    """A version that waits for production's approval, beside the one that production serves."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    url: str  # of the run's page; "" outside CI

    def markdown(self) -> str:
        """Return it for the run's page."""
        aligned = (":--", *["--:"] * (len(self.columns) - 1))
        lines = map(row, (self.columns, aligned, *self.rows))
        return "\n".join([f"### {self.title}", "", *lines, ""])

    def text(self) -> str:
        """Return it for a terminal or a chat, as lines of equal columns."""
        table = (self.columns, *self.rows)
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
            for cells in table
        ]
        return "\n".join([self.title, *lines])

    def for_slack(self) -> dict[str, Any]:
        """Return it as Slack's incoming webhooks take it."""
        text = self.text().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        title, _, table = text.partition("\n")
        return {"text": f"*{title}*\n```{table}```\n<{self.url}|Report and approval>"}

    def for_teams(self) -> dict[str, Any]:
        """Return it as the webhooks of Teams' workflows take it: with an Adaptive Card."""
        facts = [
            {"title": name, "value": " → ".join(reversed(values))} for name, *values in self.rows
        ]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [
                {"type": "TextBlock", "text": self.title, "weight": "Bolder", "wrap": True},
                {"type": "FactSet", "facts": facts},
            ],
            "actions": [
                {"type": "Action.OpenUrl", "title": "Report and approval", "url": self.url}
            ],
        }
        kind = "application/vnd.microsoft.card.adaptive"
        return {
            "type": "message",
            "attachments": [{"contentType": kind, "contentUrl": None, "content": card}],
        }


def announce_version(
    project: Project, version: Version, serving: Version | None, url: str
) -> Announcement:
    """Compare a version with the one that production serves, by the figures of their holdouts."""
    name = f"Version {version.number} of {project.project}"
    before: Mapping[str, float] = serving.figures() if serving else {}
    production = f"production (version {serving.number})" if serving else "production (none)"
    rows = tuple(
        (metric, f"{value:.4f}", f"{before[metric]:.4f}" if metric in before else "-")
        for metric, value in version.figures().items()
    )
    columns = ("metric", f"version {version.number}", production)
    return Announcement(f"{name} is in staging and waits for approval", columns, rows, url)


def send(announcement: Announcement, webhook: str) -> str:
    """Send it to a webhook; return why that failed, or "": a release does not depend on a chat.

    The address is a secret, so no message contains it.
    """
    parts = urllib.parse.urlsplit(webhook)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "MLOPS_WEBHOOK is not an address. Nobody was told; the release goes on."
    is_slack = parts.hostname in SLACK
    body = announcement.for_slack() if is_slack else announcement.for_teams()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(webhook, json.dumps(body).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310 -- as checked above
            return ""
    except (OSError, ValueError) as error:
        reason = getattr(error, "code", None) or type(error).__name__
        return f"The webhook did not take the message ({reason}). The release goes on."
