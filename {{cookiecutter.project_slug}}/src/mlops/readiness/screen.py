"""Show a report on one screen: checks of a kind share a line, and findings a fix."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import click

from mlops.errors import safe
from mlops.readiness.checks import Check, Report

WIDEST: Final = 100
INDENT: Final = " " * 6


def show(report: Report) -> None:
    """Print a report; colours only on a terminal."""
    width = min(shutil.get_terminal_size((WIDEST, 0)).columns, WIDEST)
    for area, checks in groupby(report.checks, lambda check: check.area):
        click.secho(safe(area), bold=True)
        merged = list(_merged(list(checks)))
        for place, (check, text) in enumerate(merged):
            mark, colour = _mark(check)
            lines = textwrap.wrap(safe(text), width - len(INDENT), break_on_hyphens=False)
            click.echo(f"  {click.style(f'[{mark}]', fg=colour)} {lines[0]}")
            for line in lines[1:]:
                click.echo(f"{INDENT}{line}")
            following = merged[place + 1][0] if place + 1 < len(merged) else None
            if check.fix and (following is None or _remedy(following) != _remedy(check)):
                click.echo(_fix(check, width))
    click.secho(report.summary, fg="green" if report.ready else "red")


def _merged(checks: list[Check]) -> Iterator[tuple[Check, str]]:
    """Yield checks that differ only in their names as one, with its text."""
    groups: dict[tuple[object, ...], list[Check]] = {}
    for check in checks:
        reason = () if check.ok else (check.detail, check.fix)
        key = (check.ok, check.code if check.ok or check.fix else "", *reason)
        groups.setdefault(key, []).append(check)
    for same in groups.values():
        first = same[0]
        if first.ok:
            yield first, _names([f"{one.name} {one.detail}".strip() for one in same])
            continue
        code = f" ({first.code})" if first.ok is False and not first.fix else ""
        yield first, f"{_names([one.name for one in same])}: {first.detail}{code}"


def _names(names: list[str]) -> str:
    """Join names; say what several in a row begin with only once."""
    parts = []
    for start, same in groupby(names, lambda name: name.rpartition(" ")[0]):
        ends = [name.rpartition(" ")[2] for name in same]
        parts.append(f"{start} {', '.join(ends)}".strip())
    return ", ".join(parts)


def _mark(check: Check) -> tuple[str, str]:
    if check.ok is None:
        return "?", "yellow"
    if check.ok:
        return "x", "green"
    return ("!", "yellow") if check.severity == "warning" else (" ", "red")


def _remedy(check: Check) -> tuple[bool, str, str]:
    return bool(check.ok), check.code, check.fix


def _fix(check: Check, width: int) -> str:
    """Return the line with a fix and its code, which is at the right."""
    text = safe(f"Fix: {check.fix}")
    lines = textwrap.wrap(text, width - len(INDENT), break_on_hyphens=False)
    gap = width - len(INDENT) - len(lines[-1]) - len(check.code)
    lines[-1] = f"{lines[-1]}{' ' * gap}{check.code}" if gap > 0 else f"{lines[-1]} {check.code}"
    return "\n".join(f"{INDENT}{line}" for line in lines)
