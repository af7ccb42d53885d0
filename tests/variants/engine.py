"""Render all cases, give each distinct content to its tools once, and collect the findings."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from variants.findings import Answers, Finding, Shown
from variants.golden import differences
from variants.matrix import Rendered, render_all
from variants.tools import TOOLS, Tool, ToolBrokeError, Unit

WORKERS = 2
Tell = Callable[[str], None]


@dataclass(frozen=True)
class ToolRun:
    """How many units a tool judged, how many the variants hold in all, and how long it took."""

    tool: str
    judged: int
    held: int
    findings: int
    seconds: float


@dataclass
class Outcome:
    """The result for all cases.

    Attributes:
        rendered: The projects by the position of their case; those that could not be rendered are missing.
        contents: The count of distinct files.
        shown: Each finding, and the positions of the cases that show it.
        seconds: What rendering took.
    """

    rendered: dict[int, Rendered] = field(default_factory=dict)
    contents: int = 0
    shown: Shown = field(default_factory=dict)
    runs: list[ToolRun] = field(default_factory=list)
    seconds: float = 0.0


def check(
    template: Path, cases: Sequence[Answers], work: Path, golden: Mapping[str, Sequence[str]] | None, tell: Tell
) -> Outcome:
    """Render each case below ``work`` and judge it.

    Args:
        template: A git repository; cruft takes its last commit, cookiecutter its files.
        cases: Sets of answers, all different.
        golden: The files that each case has to have, by condition; None leaves that unchecked.

    Raises:
        ToolBrokeError: A tool failed.
    """
    outcome = Outcome()
    start = time.perf_counter()
    for position, (one, other) in enumerate(render_all(template, cases, work)):
        if isinstance(one, Finding):
            outcome.shown.setdefault(one, set()).add(position)
            continue
        outcome.rendered[position] = one
        found = [*_unlike(one, other), *_names_that_collide(one)]
        found += differences(golden, cases[position], set(one.files)) if golden is not None else ()
        for finding in found:
            outcome.shown.setdefault(finding, set()).add(position)
    outcome.seconds = time.perf_counter() - start
    outcome.contents = len({item for project in outcome.rendered.values() for item in project.files.items()})
    tell(f"{len(cases)} variants rendered twice in {outcome.seconds:.1f} s: {outcome.contents} distinct contents.")

    scratch = work / "tools"
    scratch.mkdir()
    with ThreadPoolExecutor(WORKERS) as pool:
        judged = pool.map(lambda tool: _judge(tool, outcome.rendered, scratch), reversed(TOOLS))
        for run, shown in reversed(list(judged)):
            outcome.runs.append(run)
            for finding, positions in shown.items():
                outcome.shown.setdefault(finding, set()).update(positions)
    return outcome


def _judge(tool: Tool, rendered: Mapping[int, Rendered], scratch: Path) -> tuple[ToolRun, Shown]:
    """Give each distinct unit to a tool once; map its findings to the cases that hold them."""
    start = time.perf_counter()
    units: dict[str, Unit] = {}
    holders: dict[str, set[int]] = {}
    for position, project in rendered.items():
        for key, unit in tool.units(project).items():
            units.setdefault(key, unit)
            holders.setdefault(key, set()).add(position)
    shown: Shown = {}
    if units:
        keys = {unit.folder / path: key for key, unit in units.items() for path in unit.paths}
        try:
            found = list(tool.judge(list(units.values()), scratch))
        except (ValueError, KeyError) as error:  # a report that the reader does not know
            raise ToolBrokeError(f"The report of {tool.name} can't be read: {error!r}") from error
        for name, line, rule, message in found:
            path = Path(os.path.normpath(scratch / name))
            key = keys.get(path) or _key_of_neighbour(tool, path, units)
            finding = Finding(tool.name, path.relative_to(units[key].folder).as_posix(), line, rule, message)
            shown.setdefault(finding, set()).update(holders[key])
    held = sum(map(len, holders.values()))
    return ToolRun(tool.name, len(units), held, len(shown), time.perf_counter() - start), shown


def _key_of_neighbour(tool: Tool, path: Path, units: Mapping[str, Unit]) -> str:
    """Return a unit of the project that holds a file which the tool read without being given it."""
    for key, unit in units.items():
        if path.is_relative_to(unit.folder):
            return key
    raise ToolBrokeError(f"{tool.name} names {path}, which is in none of the projects.")


def _unlike(one: Rendered, other: Rendered | Finding) -> list[Finding]:
    """Compare the renders of cookiecutter and cruft, made in two processes."""
    if isinstance(other, Finding):
        return [Finding("cruft", other.path, other.line, other.rule, other.message)]
    return [
        Finding("cruft", path, 0, "differs", "cruft's render, in another process, differs or lacks the file")
        for path in sorted(one.files.keys() | other.files.keys())
        if one.files.get(path) != other.files.get(path)
    ]


def _names_that_collide(project: Rendered) -> list[Finding]:
    """Find names that differ by case only: Windows and macOS keep one of them."""
    names: dict[str, str] = {}
    return [
        Finding("names", path, 0, "case", f"differs from {names[path.lower()]} by case only")
        for path in project.files
        if names.setdefault(path.lower(), path) != path
    ]
