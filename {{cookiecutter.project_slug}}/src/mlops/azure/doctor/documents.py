"""The files of azureml/ with the line of each field, and what is found wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mlops.config import Project

# The one in C is ten times as fast; both make plain values only.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Place = tuple[str | int, ...]  # where a field is: ("jobs", "train", "inputs")


@dataclass(frozen=True, order=True)
class Finding:
    """One mistake: where it is, what it is, and how to mend it."""

    file: str
    line: int
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what} {self.fix}".strip()


@dataclass(frozen=True)
class Document:
    """One YAML file.

    Attributes
    ----------
    name : str
        The file's path from the project's folder, with forward slashes.
    kind : str
        What it describes, as its ``$schema`` says: pipelineJob, data, ...
    content : dict
        Its fields.
    lines : dict
        The line of each field, by its place.
    """

    path: Path
    name: str
    kind: str = ""
    content: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[Place, int] = field(default_factory=dict)

    def get(self, *place: str | int, default: Any = None) -> Any:
        """The value at ``place``, or ``default`` if there is none."""
        value: Any = self.content
        for part in place:
            if isinstance(value, dict) and part in value:
                value = value[part]
            else:
                return default
        return default if value is None else value

    def section(self, *place: str | int) -> dict[str, Any]:
        """The fields at ``place``; none if something else stands there, which the SDK tells."""
        value = self.get(*place)
        return value if isinstance(value, dict) else {}

    def local(self, reference: str) -> Path:
        """The path that a field of this file means."""
        return (self.path.parent / reference).resolve()

    def wrong(self, place: Place, what: str, fix: str = "") -> Finding:
        """A mistake at ``place``, or at the nearest field above it that has a line."""
        while place and place not in self.lines:
            place = place[:-1]
        return Finding(self.name, self.lines.get(place, 1), what, fix)


@dataclass(frozen=True)
class Site:
    """All documents of a project, as the rules see them."""

    project: Project
    documents: tuple[Document, ...]

    @cached_property
    def by_path(self) -> dict[Path, Document]:
        return {document.path: document for document in self.documents}

    def names(self, *kinds: str) -> list[str]:
        """The names that files of these kinds define."""
        found = (document.get("name") for document in self.documents if document.kind in kinds)
        return [str(name) for name in found if name is not None]


def read_document(file: Path, root: Path) -> tuple[Document, list[Finding]]:
    """Read one file; what is no YAML, or no fields, is found wrong."""
    empty = Document(file, file.relative_to(root).as_posix())
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=LOADER)
        content = yaml.load(text, Loader=LOADER)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        what = f"This is no valid YAML: {error.problem}."
        return empty, [Finding(empty.name, line, what, "Mend the line.")]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return empty, [Finding(empty.name, 1, f"This is no valid YAML: {error}.", "")]
    if not isinstance(node, yaml.MappingNode) or not isinstance(content, dict):
        return empty, [Finding(empty.name, 1, "This file holds no fields.", "Restore it from git.")]
    schema = str(content.get("$schema", "")).rsplit("/", 1)[-1]
    kind = schema.partition(".")[0]
    lines = dict(_lines(node, ()))
    document = Document(file, empty.name, kind, content, lines)
    return document, list(_duplicates(document, node, ()))


def _lines(node: yaml.Node, place: Place) -> Iterator[tuple[Place, int]]:
    """The line of each field, which is that of its key."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, key.value)
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*place, number), value.start_mark.line + 1
            yield from _lines(value, (*place, number))


def _duplicates(document: Document, node: yaml.Node, place: Place) -> Iterator[Finding]:
    """Fields that stand twice: YAML takes the last and says nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            inner = (*place, key.value)
            if key.value in seen:
                yield document.wrong(inner, f"{key.value} stands twice.", "Keep one of them.")
            seen.add(key.value)
            yield from _duplicates(document, value, inner)
