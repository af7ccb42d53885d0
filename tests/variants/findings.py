"""Findings, the variants that show them, and the findings that are allowed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import combinations
from pathlib import Path

Answers = dict[str, str]


@dataclass(frozen=True, order=True)
class Finding:
    """Something wrong in one file; ``line`` counts from 1, and is 0 for the file as a whole."""

    tool: str
    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.message} [{self.tool}{' ' if self.rule else ''}{self.rule}]"


# A finding -> the positions of the cases that show it.
Shown = dict[Finding, set[int]]


def smallest_condition(showing: set[int], cases: Sequence[Answers]) -> str:
    """Return the fewest answers that select only cases that show a finding."""
    if len(showing) == len(cases):
        return "every variant"
    for size in range(1, len(cases[0]) + 1):
        for position in sorted(showing):
            for part in combinations(cases[position].items(), size):
                if {n for n, case in enumerate(cases) if set(part) <= case.items()} <= showing:
                    return " + ".join(f"{option}={choice}" for option, choice in part)
    raise ValueError("two cases have the same answers")


@dataclass(frozen=True)
class Allowed:
    """A line of exceptions.txt: allowed findings of one rule of a tool, in the files of a pattern."""

    tool: str
    rule: str
    pattern: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        return (self.tool, self.rule) == (finding.tool, finding.rule) and fnmatch(finding.path, self.pattern)


def read_exceptions(path: Path) -> list[Allowed]:
    """Read lines of ``tool  rule  path pattern  # reason``.

    Raises:
        ValueError: A line has another form, or no reason.
    """
    allowed = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words, _, reason = line.partition("#")
        match words.split():
            case [tool, rule, pattern] if reason.strip():
                allowed.append(Allowed(tool, rule, pattern, reason.strip()))
            case _:
                raise ValueError(f"{path.name}:{number} is not `tool  rule  path pattern  # reason`: {line}")
    return allowed


def without_allowed(shown: Shown, allowed: Iterable[Allowed]) -> tuple[Shown, list[Allowed]]:
    """Return the findings that no exception covers, and the exceptions that cover none."""
    left = {finding: cases for finding, cases in shown.items() if not any(a.covers(finding) for a in allowed)}
    return left, [a for a in allowed if not any(a.covers(finding) for finding in shown)]
