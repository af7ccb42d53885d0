"""Reads pipelines as Azure Pipelines does: every scalar is a string, no key occurs twice, and there are no anchors."""

from pathlib import Path
from typing import Any

import yaml


class PipelineError(Exception):
    """Azure Pipelines would refuse this pipeline, or the driver does not know what it uses."""


class _Loader(yaml.BaseLoader):
    """Loads all scalars as strings: neither `on` nor 012 nor 12:30 is anything else."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise PipelineError(f"line {line}: anchors and aliases are not supported")
        if getattr(event, "tag", None):
            raise PipelineError(f"line {line}: tags are not supported")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        content: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise PipelineError(f"line {key.start_mark.line + 1}: a key must be a string")
            if key.value in content:
                raise PipelineError(f"line {key.start_mark.line + 1}: '{key.value}' is already defined")
            content[key.value] = self.construct_object(value, deep=deep)
        return content


def parse(text: str) -> Any:
    """Return the content of a YAML text: mappings, lists and strings."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 -- it makes nothing but strings
    except yaml.YAMLError as error:
        raise PipelineError(str(error)) from None


def load(path: Path) -> Any:
    """Return the content of a YAML file."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except PipelineError as error:
        raise PipelineError(f"{path.name}: {error}") from None
    except FileNotFoundError:
        raise PipelineError(f"{path.name} does not exist") from None
