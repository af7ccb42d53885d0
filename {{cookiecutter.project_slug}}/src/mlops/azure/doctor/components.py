"""Rules about components: what the command uses and calls, and the values of inputs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from itertools import dropwhile, groupby
from pathlib import Path
from typing import Any

import click

from mlops.azure.doctor.assets import is_uploaded
from mlops.azure.doctor.documents import Context, Document, Finding

PLACEHOLDER = re.compile(r"\$\{\{\s*([^}]*?)\s*\}\}")
OPTIONAL_PART = re.compile(r"\$\[\[(.*?)\]\]", re.S)
SEPARATORS = {"&&", "||", ";", "|"}
NUMBERS = {"integer": int, "number": float}

Problem = tuple[str, str, str]  # a code, a message and a fix


def check_component(document: Document, context: Context) -> Iterator[Finding]:
    """Check a component's command, and the defaults of its inputs."""
    for (*path, _), default in document.match("inputs.*.default"):
        if problem := value_problem(default, document.section(*path)):
            message = f"The default of {path[-1]} {problem}."
            yield document.finding("AZ024", (*path, "default"), message)
    command = str(document.get("command", default=""))
    folder = document.local(str(document.get("code", default=".")))
    if command and folder.is_dir():
        yield from _check_placeholders(document, command)
        for code, message, fix in _calls_problems(command, folder, context.commands):
            yield document.finding(code, ("command",), message, fix)


def value_problem(value: Any, declared: Mapping[str, Any]) -> str | None:
    """Return why a value does not match the declared type or range; None if it does."""
    kind, choices = str(declared.get("type")), declared.get("enum")
    if kind in NUMBERS:
        try:
            number = NUMBERS[kind](str(value))
        except ValueError:
            return f"is {value!r}, not of type {kind}"
        low, high = declared.get("min"), declared.get("max")
        if isinstance(low, int | float) and number < low:
            return f"is {value!r}, below the minimum {low}"
        if isinstance(high, int | float) and number > high:
            return f"is {value!r}, above the maximum {high}"
    elif kind == "boolean" and str(value).lower() not in ("true", "false"):
        return f"is {value!r}, neither true nor false"
    elif kind == "string" and isinstance(value, dict | list):
        return f"is {value!r}, not of type string"
    elif kind not in ("boolean", "string"):
        path = value.get("path") if isinstance(value, dict) else value
        return None if isinstance(path, str) else f"is {value!r}, not of type {kind}"
    return f"is {value!r}, not one of {choices}" if choices and value not in choices else None


def _check_placeholders(document: Document, command: str) -> Iterator[Finding]:
    """Check that the command uses each input and output, and the optional ones in $[[ ]]."""
    used = PLACEHOLDER.findall(command)
    always = PLACEHOLDER.findall(OPTIONAL_PART.sub("", command))
    for path, about in (*document.match("inputs.*"), *document.match("outputs.*")):
        name = ".".join(map(str, path))
        if name not in used:
            message = f"The command does not use {name}."
            yield document.finding("AZ021", path, message, "Use it or remove it.")
        if name in always and isinstance(about, dict) and about.get("optional"):
            message = f"{name} is optional, but the command always uses it."
            yield document.finding("AZ023", ("command",), message, "Put that part in $[[ ]].")


def _calls_problems(
    command: str, folder: Path, commands: Mapping[str, click.Command]
) -> Iterator[Problem]:
    """Yield what is wrong with the calls of Python that a shell command makes."""
    bare = PLACEHOLDER.sub("VALUE", OPTIONAL_PART.sub(r"\1", command))
    try:
        words = shlex.split(bare)
    except ValueError as error:
        yield "AZ023", f"The command cannot be parsed: {error}.", "Correct the quotes."
        return
    for _, call in groupby(words, SEPARATORS.__contains__):
        python, *rest = [*dropwhile(lambda word: "=" in word, call)] or [""]  # without variables
        if not Path(python).name.startswith("python"):
            continue
        match rest:
            case ["-m", "mlops", *arguments]:
                yield from _mlops_problems(arguments, commands)
            case ["-m", module, *_]:
                path = Path("src", *module.split("."))
                files = (path.with_suffix(".py"), path / "__main__.py")
                if not any(is_uploaded(folder, file) for file in files):
                    yield "AZ009", f"There is no module {module} in src/.", "Correct its name."
            case [script, *_] if script.endswith(".py") and not is_uploaded(folder, script):
                message = f"{script} is not in the uploaded folder."
                yield "AZ009", message, "Check the path and .amlignore."


def _mlops_problems(words: list[str], commands: Mapping[str, click.Command]) -> Iterator[Problem]:
    """Yield why `mlops` would refuse its arguments."""
    name = words[0] if words else ""
    if name not in commands:
        yield "AZ023", f"mlops has no command {name!r}.", f"Use one of: {', '.join(commands)}."
        return
    command, fix = commands[name], f"See `mlops {name} --help`."
    try:
        given, extra, _ = command.make_parser(click.Context(command)).parse_args(words[1:])
    except click.UsageError as error:
        yield "AZ023", f"mlops {name}: {error.format_message()}", fix
        return
    for parameter in command.params:
        if parameter.required and given.get(str(parameter.name)) is None:
            yield "AZ023", f"mlops {name} requires {parameter.opts[0]}.", fix
    if extra:
        yield "AZ023", f"mlops {name} does not take {' '.join(extra)}.", fix
