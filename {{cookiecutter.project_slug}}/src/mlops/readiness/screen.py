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
            if not check.ok and (following is None or _remedy(following) != _remedy(check)):
                click.echo(_fix(check, width))
    click.secho(report.summary, fg="green" if report.ready else "red")


def _merged(checks: list[Check]) -> Iterator[tuple[Check, str]]:
    """Yield checks that differ only in their names as one, with its text."""
    groups: dict[tuple[object, ...], list[Check]] = {}
    for check in checks:
        key = (check.ok, check.code, *(() if check.ok else (check.detail, check.fix)))
        groups.setdefault(key, []).append(check)
    for same in groups.values():
        if same[0].ok:
            yield same[0], _names([f"{one.name} {one.detail}".strip() for one in same])
        else:
            yield same[0], f"{_names([one.name for one in same])}: {same[0].detail}"


def _names(names: list[str]) -> str:
    """Join names, and say the words once with which all of them begin."""
    first = names[0].rpartition(" ")[0] + " "
    start = first if len(names) > 1 and all(name.startswith(first) for name in names) else ""
    return start + ", ".join(name[len(start) :] for name in names)


def _mark(check: Check) -> tuple[str, str]:
    if check.ok:
        return "x", "green"
    if check.severity == "warning":
        return "!", "yellow"
    return ("?", "yellow") if check.ok is None else (" ", "red")


def _remedy(check: Check) -> tuple[bool, str, str]:
    return bool(check.ok), check.code, check.fix


def _fix(check: Check, width: int) -> str:
    """Return the line with a fix and its code, which is at the right."""
    text = f"Fix: {check.fix}" if check.fix else ""
    lines = textwrap.wrap(safe(text), width - len(INDENT), break_on_hyphens=False) or [""]
    gap = width - len(INDENT) - len(lines[-1]) - len(check.code)
    lines[-1] = f"{lines[-1]}{' ' * gap}{check.code}" if gap > 0 else f"{lines[-1]} {check.code}"
    return "\n".join(f"{INDENT}{line}" for line in lines)
