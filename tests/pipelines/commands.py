"""The logging commands that steps print: `##vso[area.action key=value;...]value`.

Escapes: those of microsoft/azure-pipelines-task-lib, node/taskcommand.ts. The agent obeys the first command of a line,
wherever in the line it begins.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipelines.loading import PipelineError

COMMAND = re.compile(r"##vso\[(?P<name>[\w.]+)(?P<properties>[^\]]*)\](?P<value>.*)")
KNOWN = (
    "task.complete",
    "task.logissue",
    "task.prependpath",
    "task.setsecret",
    "task.setvariable",
    "task.uploadsummary",
)
VALUES = (("%0D", "\r"), ("%0A", "\n"), ("%AZP25", "%"))
PROPERTIES = (("%5D", "]"), ("%3B", ";"), *VALUES)


@dataclass(frozen=True)
class Command:
    """A logging command; its properties' names are lower case."""

    name: str
    properties: Mapping[str, str]
    value: str

    def is_true(self, name: str) -> bool:
        """Return whether a property is set to true."""
        return self.properties.get(name, "").lower() == "true"


def commands(output: str) -> Iterator[Command]:
    """Return the commands in a step's output, in order."""
    for line in output.splitlines():
        found = COMMAND.search(line)
        if found:
            name = found["name"].lower()
            if name not in KNOWN:
                raise PipelineError(f"the logging command {name} is not known here")
            pairs = [pair.strip().partition("=") for pair in found["properties"].split(";") if pair.strip()]
            properties = {key.lower(): _unescaped(value, PROPERTIES) for key, _, value in pairs}
            yield Command(name, properties, _unescaped(found["value"], VALUES))


def _unescaped(text: str, escapes: tuple[tuple[str, str], ...]) -> str:
    for escape, character in escapes:
        text = text.replace(escape, character)
    return text
