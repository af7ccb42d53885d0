"""Show a plan of the infrastructure on the page of a CI run, and its changes in an issue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlops.ci.markdown import row, verbatim

if TYPE_CHECKING:
    from mlops.azure.infrastructure import Planned

LONGEST_TEXT: Final = 400_000  # bytes; GitHub shows no summary of more than a MiB
LONGEST_TABLE: Final = 500  # resources
LONGEST_DRIFT: Final = 30  # resources


def markdown(planned: Planned) -> str:
    """Return what a plan changes, as a table, and Terraform's own text."""
    lines = [f"### {planned.headline}", ""]
    if planned.changed:
        lines += [f"Plan `{planned.digest}`", ""]
    if planned.changes:
        shown = planned.changes[:LONGEST_TABLE]
        table = [("resource", "action"), (":--", ":--")]
        table += [(_code(change.address), change.action) for change in shown]
        lines += [*map(row, table), ""]
    return "\n".join([*lines, verbatim(_cut(planned.text)), ""])


def drift(planned: Planned) -> str:
    """Return the changed resources on one line, without values; "" without changes."""
    if not planned.changed:
        return ""
    shown = [f"{_code(one.address)} ({one.action})" for one in planned.changes[:LONGEST_DRIFT]]
    more = len(planned.changes) - len(shown)
    listed = ", ".join([*shown, f"and {more} more"] if more else shown)
    return f"{planned.headline} {listed}".strip()


def _code(text: str) -> str:
    """Return a text as code in a cell of a Markdown table."""
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"


def _cut(text: str) -> str:
    """Return a text that is short enough to be shown."""
    content = text.encode()
    if len(content) <= LONGEST_TEXT:
        return text
    return content[:LONGEST_TEXT].decode(errors="ignore") + "\n... (the log has the rest)"
