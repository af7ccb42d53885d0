"""YAML files with the line of each field, and the findings about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import yaml

from mlops.azure.doctor.codes import CODES, Severity
from mlops.config import Project

PAGE = "docs/doctor.md"
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
    def severity(self) -> Severity:
        return CODES[self.code].severity

    def __str__(self) -> str:
        words = [self.code, self.severity, f"{self.file}:{self.line}", self.message]
        words += [f"Fix: {self.fix}"] if self.fix else []
        return " ".join([*words, f"{PAGE}#{self.code.lower()}"])


@dataclass(frozen=True)
class Document:
    """One YAML file.

    Attributes
    ----------
    name : str
        The file's path relative to the project's folder, with forward slashes.
    kind : str
        The kind of asset that its ``$schema`` names: pipelineJob, data, ...
    content : dict
        Its fields.
    lines : dict
        The line of each field.
    """

    path: Path
    name: str
    kind: str = ""
    content: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[FieldPath, int] = field(default_factory=dict)

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
    """What the rules see besides the file they check.

    Attributes
    ----------
    commands : mapping of str to click.Command
        The commands of `mlops`, which components call.
    settings : Document
        project.yml.
    documents : tuple of Document
        The files of azureml/ that can be read.
    unreadable : tuple of Finding
        What is wrong with the YAML of all files.
    """

    project: Project
    commands: Mapping[str, click.Command]
    settings: Document
    documents: tuple[Document, ...]
    unreadable: tuple[Finding, ...] = ()

    @cached_property
    def by_path(self) -> dict[Path, Document]:
        return {document.path: document for document in self.documents}

    def names(self, *kinds: str) -> list[str]:
        """Return the names that files of these kinds define."""
        found = (document.get("name") for document in self.documents if document.kind in kinds)
        return [str(name) for name in found if name is not None]


def read_document(file: Path, root: Path) -> tuple[Document, list[Finding]]:
    """Read one file; return it with the findings about its YAML."""
    empty = Document(file, file.relative_to(root).as_posix())
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=LOADER)
        content = yaml.load(text, Loader=LOADER)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        message = f"This is not valid YAML: {problem}."
        line = mark.line + 1 if mark else 1
        return empty, [Finding(empty.name, line, "AZ001", message, "Correct the line.")]
    if not isinstance(node, yaml.MappingNode) or not isinstance(content, dict):
        message = "The file has no fields."
        return empty, [Finding(empty.name, 1, "AZ001", message, "Restore it from git.")]
    kind = str(content.get("$schema", "")).rsplit("/", 1)[-1].partition(".")[0]
    lines: dict[FieldPath, int] = {}
    duplicated: dict[FieldPath, int] = {}
    for path, line in _lines(node, ()):
        if path in lines and not any(path[:depth] in duplicated for depth in range(len(path))):
            duplicated[path] = line
        lines[path] = line
    return Document(file, empty.name, kind, content, lines), [
        Finding(empty.name, line, "AZ002", f"The field {path[-1]} is duplicated.", "Keep one.")
        for path, line in duplicated.items()
    ]


def _lines(node: yaml.Node, path: FieldPath) -> Iterator[tuple[FieldPath, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, key.value)
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*path, number), value.start_mark.line + 1
            yield from _lines(value, (*path, number))
