"""YAML files with the line of each field, and the findings about them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import yaml

from mlops.config import Project

PAGE = "docs/doctor.md"
# The page explains the codes. They are never reused.
ERRORS = """
AZ001 AZ002 AZ003 AZ004 AZ006 AZ007 AZ008 AZ009 AZ010 AZ011 AZ015 AZ021 AZ023 AZ024 AZ025 AZ029
AZ040 AZ041 AZ042 AZ044 AZ047 AZ090 AZ091 AZ092 AZ095 AZ100 AZ101 AZ102 AZ110 AZ111 AZ112 AZ113
AZ120 AZ121 AZ122 AZ123 AZ124 AZ125 AZ126
"""
# What Azure offers changes (AZ07x), a gate may be meant as it is (AZ08x), Terraform registers
# providers (AZ093), and a release is possible all the same (AZ11x).
WARNINGS = "AZ070 AZ072 AZ073 AZ080 AZ081 AZ082 AZ093 AZ114 AZ115 AZ116 AZ117"
CODES = (*ERRORS.split(), *WARNINGS.split())
# libyaml's loader is ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FieldPath = tuple[str | int, ...]  # the keys that lead to a field: ("jobs", "train", "inputs")


@dataclass(frozen=True, order=True)
class Finding:
    """One problem: where it is, what it is, and how to fix it."""

    file: str
    line: int
    code: str
    message: str
    fix: str = ""

    @property
    def severity(self) -> str:
        return severity(self.code)

    def __str__(self) -> str:
        fix = f" Fix: {self.fix}" if self.fix else ""
        where = f"{self.file}:{self.line}"
        return f"{self.code} {self.severity} {where} {self.message}{fix} {PAGE}#{self.code.lower()}"


@dataclass(frozen=True)
class Document:
    """One YAML file."""

    path: Path
    name: str  # its path relative to the project's folder, with forward slashes
    content: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    problems: tuple[Finding, ...] = ()  # of its YAML; without content if it is unreadable

    @property
    def kind(self) -> str:
        """The kind of asset that ``$schema`` names: pipelineJob, data, ..."""
        return str(self.get("$schema", default="")).rsplit("/", 1)[-1].partition(".")[0]

    def get(self, *path: str | int, default: Any = None) -> Any:
        """Return the value at ``path``, or ``default`` if it is missing or null."""
        value: Any = self.content
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return default
            value = value[key]
        return default if value is None else value

    def section(self, *path: str | int) -> dict[str, Any]:
        """Return the fields at ``path``; empty unless it is a mapping."""
        value = self.get(*path)
        return value if isinstance(value, dict) else {}

    def match(self, pattern: str) -> list[tuple[FieldPath, Any]]:
        """Return each field, with its value, that a pattern such as ``jobs.*.compute`` selects."""
        found: list[tuple[FieldPath, Any]] = [((), self.content)]
        for part in pattern.split("."):
            found = [
                ((*path, key), inner)
                for path, value in found
                if isinstance(value, dict)
                for key, inner in value.items()
                if part in ("*", key) and inner is not None
            ]
        return found

    def local(self, reference: str) -> Path:
        """Return the path that a field of this file refers to."""
        return (self.path.parent / reference).resolve()

    def finding(self, code: str, path: FieldPath, message: str, fix: str = "") -> Finding:
        """Return a finding at ``path``, or at the nearest field above it that exists."""
        while path and path not in self.lines:
            path = path[:-1]
        return Finding(self.name, self.lines.get(path, 1), code, message, fix)


@dataclass(frozen=True)
class Context:
    """What the rules see besides the file they check."""

    project: Project
    commands: Mapping[str, click.Command]  # of `mlops`, which components call
    settings: Document  # project.yml
    documents: tuple[Document, ...]  # the files of azureml/

    @cached_property
    def by_path(self) -> dict[Path, Document]:
        return {document.path: document for document in self.documents}

    def names(self, *kinds: str) -> list[str]:
        """Return the names that files of these kinds define."""
        found = (document.get("name") for document in self.documents if document.kind in kinds)
        return [str(name) for name in found if name is not None]


def severity(code: str) -> str:
    """Return "error" or "warning"; a warning fails no command."""
    return "warning" if code in WARNINGS.split() else "error"


def read_document(file: Path, root: Path) -> Document:
    """Read one file, with what is wrong with its YAML."""
    name = file.relative_to(root).as_posix()
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=LOADER)
        content = yaml.load(text, Loader=LOADER)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        message = f"This is not valid YAML: {problem}."
        line = mark.line + 1 if mark else 1
        return Document(file, name, problems=(Finding(name, line, "AZ001", message),))
    if not isinstance(content, dict):
        empty = Finding(name, 1, "AZ001", "The file has no fields.", "Restore it from git.")
        return Document(file, name, problems=(empty,))
    fields = list(_fields(node, ()))
    duplicated = tuple(
        Finding(name, line, "AZ002", f"The field {path[-1]} is duplicated.", "Keep one.")
        for path, line, again in fields
        if again
    )
    return Document(file, name, content, {path: line for path, line, _ in fields}, duplicated)


def _fields(node: yaml.Node | None, path: FieldPath) -> Iterator[tuple[FieldPath, int, bool]]:
    """Yield each field with its line, and whether its section already has it."""
    pairs: list[tuple[str | int, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        pairs = [(key.value, key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(number, value, value) for number, value in enumerate(node.value)]
    seen = set()
    for key, start, value in pairs:
        yield (*path, key), start.start_mark.line + 1, key in seen
        seen.add(key)
        yield from _fields(value, (*path, key))


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return a question about the known names that are most like a misspelt one; "" if none is."""
    by_lower = {item.lower(): item for item in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=2, cutoff=cutoff)
    return f"Did you mean {' or '.join(by_lower[item] for item in near)}? " if near else ""
