"""Pipelines and their components: what is connected with what, and what the commands call."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.azure.doctor.documents import Document, Finding, Place, Site

PLACEHOLDER = re.compile(r"\$\{\{\s*([^}]*?)\s*\}\}")
OPTIONAL_PART = re.compile(r"\$\[\[(.*?)\]\]", re.S)
SEPARATORS = {"&&", "||", ";", "|"}
NUMBERS = ("integer", "number")
SETTINGS = ("default_compute", "default_datastore", "continue_on_step_failure", "force_rerun")
PRIMITIVES = (*NUMBERS, "string", "boolean")


@dataclass(frozen=True)
class Binding:
    """What ``${{parent. ...}}`` means: an input of the pipeline, or an output of a job."""

    job: str  # "" for the pipeline's own input or output
    kind: str  # inputs or outputs
    name: str


def check_component(document: Document, site: Site) -> Iterator[Finding]:
    """A component: its code folder, its command, and the values that its inputs may have."""
    folder = document.local(str(document.get("code", default=".")))
    if not folder.is_dir():
        fix = "Name the folder from where this file is."
        yield document.wrong(("code",), f"The code folder {folder} does not exist.", fix)
        return
    if not document.get("environment"):
        yield document.wrong((), "The component has no environment.", "Add the line environment.")
    yield from _check_placeholders(document)
    for name, declared in document.section("inputs").items():
        if isinstance(declared, dict) and "default" in declared:
            problem = _value_problem(declared["default"], declared)
            if problem:
                place = ("inputs", name, "default")
                yield document.wrong(place, f"The default of {name} {problem}.")
    yield from _check_calls(document, folder, site)


def _check_placeholders(document: Document) -> Iterator[Finding]:
    """Whether the command uses what is declared, and nothing else."""
    command = str(document.get("command", default=""))
    inputs, outputs = document.section("inputs"), document.section("outputs")
    declared = {f"inputs.{name}" for name in inputs} | {f"outputs.{name}" for name in outputs}
    used = set(PLACEHOLDER.findall(command))
    for name in sorted(used - declared):
        known = ", ".join(sorted(declared)) or "none"
        what = f"The command uses {name}, which is not declared."
        yield document.wrong(("command",), what, f"Declared: {known}.")
    for name in sorted(declared - used):
        what = f"The command does not use {name}."
        yield document.wrong(tuple(name.split(".")), what, "Use it or remove it.")
    always = set(PLACEHOLDER.findall(OPTIONAL_PART.sub("", command)))
    for name, given in inputs.items():
        if isinstance(given, dict) and given.get("optional") and f"inputs.{name}" in always:
            what = f"The input {name} is optional, but the command always uses it."
            yield document.wrong(("command",), what, "Put that part between $[[ and ]].")


def _check_calls(document: Document, folder: Path, site: Site) -> Iterator[Finding]:
    """Whether the verbs, options and scripts that the command calls are there."""
    command = str(document.get("command", default=""))
    bare = PLACEHOLDER.sub("VALUE", OPTIONAL_PART.sub(r"\1", command))
    try:
        words = shlex.split(bare)
    except ValueError as error:
        yield document.wrong(("command",), f"The command cannot be read: {error}.")
        return
    call: list[str] = []
    for word in [*words, ";"]:
        if word not in SEPARATORS:
            call.append(word)
            continue
        problem = _call_problem(call, folder, site)
        if problem:
            yield document.wrong(("command",), *problem)
        call = []


def _call_problem(call: list[str], folder: Path, site: Site) -> tuple[str, str] | None:
    while call and "=" in call[0]:  # a variable that is set for the call
        call = call[1:]
    if not call or not Path(call[0]).name.startswith("python") or len(call) < 2:
        return None
    if call[1] == "-m" and len(call) > 2:
        module = call[2]
        if module == "mlops":
            return _verb_problem(call[3:])
        path = Path("src", *module.split("."))
        places = (path.with_suffix(".py"), path / "__main__.py")
        if any(is_uploaded(folder, place) for place in places):
            return None
        return f"There is no module {module} in {folder}.", "Correct its name."
    if call[1].endswith(".py") and not is_uploaded(folder, Path(call[1])):
        return f"There is no script {call[1]} in what is uploaded of {folder}.", "Correct its path."
    return None


def _verb_problem(words: list[str]) -> tuple[str, str] | None:
    """Whether `mlops` has such a verb, with such options."""
    import click

    from mlops.cli import main

    verb = main.commands.get(words[0]) if words else None
    if verb is None:
        return (
            f"mlops has no verb {words[0] if words else ''}.",
            f"Verbs: {', '.join(main.commands)}.",
        )
    try:
        given, rest, _ = verb.make_parser(click.Context(verb)).parse_args(list(words[1:]))
    except click.UsageError as error:
        return f"mlops {words[0]}: {error.format_message()}", f"See `mlops {words[0]} --help`."
    lacking = [p.name for p in verb.params if p.required and given.get(str(p.name)) is None]
    if rest or lacking:
        text = (
            f"has no use for {' '.join(rest)}" if rest else f"lacks {', '.join(map(str, lacking))}"
        )
        return f"mlops {words[0]} {text}.", f"See `mlops {words[0]} --help`."
    return None


def is_uploaded(folder: Path, path: Path) -> bool:
    """Whether a file of a code folder is there, and not left out by .amlignore."""
    from azure.ai.ml._utils._asset_utils import get_ignore_file

    whole = folder / path
    return whole.exists() and not get_ignore_file(folder).is_file_excluded(whole)


def check_pipeline(document: Document, site: Site) -> Iterator[Finding]:
    """A pipeline: each step's component, inputs and outputs, and the order they make."""
    jobs = document.section("jobs")
    components: dict[str, Document] = {}
    for name, job in jobs.items():
        key = "trial" if isinstance(job, dict) and job.get("type") == "sweep" else "component"
        reference = document.get("jobs", name, key)
        if isinstance(reference, str) and not reference.startswith("azureml:"):
            component = site.by_path.get(document.local(reference))
            if component:
                components[name] = component
            else:
                what = f"The component {reference} does not exist."
                yield document.wrong(
                    ("jobs", name, key), what, "Name a file of azureml/components."
                )
    for name, component in components.items():
        yield from _check_step(document, name, component, components)
        if document.get("jobs", name, "type") == "sweep":
            yield from _check_sweep(document, name, component)
    yield from _check_pipeline_ends(document, components)
    yield from _check_order(document)
    for key in document.section("settings"):
        if key not in SETTINGS:
            what = f"A pipeline has no setting {key}."
            yield document.wrong(("settings", key), what, f"It has: {', '.join(SETTINGS)}.")
    if not document.get("settings", "default_compute"):
        for name in jobs:
            if not document.get("jobs", name, "compute"):
                what = f"The step {name} has no compute."
                yield document.wrong(("jobs", name), what, "Set settings.default_compute.")


def _check_step(
    document: Document, name: str, component: Document, components: Mapping[str, Document]
) -> Iterator[Finding]:
    declared = component.section("inputs")
    given = document.section("jobs", name, "inputs")
    searched = document.section("jobs", name, "search_space")
    place: Place = ("jobs", name, "inputs")
    for key, value in given.items():
        if key not in declared:
            known = ", ".join(declared) or "none"
            what = f"{component.name} has no input {key}."
            yield document.wrong((*place, key), what, f"It has: {known}.")
            continue
        problem = _input_problem(document, value, declared[key], components)
        if problem:
            yield document.wrong((*place, key), f"The input {key} {problem}.")
    for key, about in declared.items():
        needed = isinstance(about, dict) and not about.get("optional") and "default" not in about
        if needed and key not in given and key not in searched:
            yield document.wrong(place, f"The step {name} gives no value for the input {key}.")
    for key, value in document.section("jobs", name, "outputs").items():
        where = ("jobs", name, "outputs", key)
        if key not in component.section("outputs"):
            yield document.wrong(where, f"{component.name} has no output {key}.")
        bound = _binding(value)
        if bound and bound.name not in document.section("outputs"):
            yield document.wrong(where, f"The pipeline has no output {bound.name}.")


def _input_problem(
    document: Document, value: Any, declared: Any, components: Mapping[str, Document]
) -> str | None:
    """Why a value cannot be what the component's input wants."""
    wanted = declared.get("type") if isinstance(declared, dict) else None
    bound = _binding(value)
    if bound is None:
        if isinstance(value, str) and PLACEHOLDER.search(value):
            return f"is bound to {value}, which is neither an input nor a job's output"
        return _value_problem(value, declared)
    if bound.job:
        if bound.job not in document.section("jobs"):
            known = ", ".join(document.section("jobs"))
            return f"is bound to the job {bound.job}, which does not exist; there are: {known}"
        source = components.get(bound.job)
        outputs = source.section("outputs") if source else {bound.name: {"type": wanted}}
        if bound.kind != "outputs" or bound.name not in outputs:
            known = ", ".join(outputs)
            return f"is bound to {bound.name} of the job {bound.job}, whose outputs are: {known}"
        found = outputs[bound.name].get("type")
    else:
        inputs = document.section("inputs")
        if bound.name not in inputs:
            known = ", ".join(inputs)
            return f"is bound to the pipeline's input {bound.name}; there are: {known}"
        given = inputs[bound.name]
        if not isinstance(given, dict):
            return _value_problem(given, declared)
        found = given.get("type")
    both_numbers = found == "integer" and wanted == "number"
    return None if found == wanted or both_numbers else f"wants {wanted}, and gets {found}"


def _value_problem(value: Any, declared: Any) -> str | None:
    """Why a literal is not of a declared type, or out of its range."""
    if not isinstance(declared, dict):
        return None
    kind = declared.get("type")
    if kind not in PRIMITIVES:
        written = value.get("path") if isinstance(value, dict) else value
        return None if isinstance(written, str) else f"should be {kind}, is {value!r}"
    if kind in NUMBERS:
        try:
            number = int(str(value)) if kind == "integer" else float(str(value))
        except ValueError:
            return f"should be of the type {kind}, is {value!r}"
        low, high = declared.get("min"), declared.get("max")
        if (low is not None and number < low) or (high is not None and number > high):
            return f"should be from {low} to {high}, is {value!r}"
    if kind == "boolean" and str(value).lower() not in ("true", "false"):
        return f"should be true or false, is {value!r}"
    if isinstance(value, dict | list):
        return f"should be of the type {kind}, is {value!r}"
    choices = declared.get("enum")
    return f"should be one of {choices}, is {value!r}" if choices and value not in choices else None


def _check_sweep(document: Document, name: str, component: Document) -> Iterator[Finding]:
    from mlops.model.search import METRIC

    place: Place = ("jobs", name)
    for key in document.section(*place, "search_space"):
        if key not in component.section("inputs"):
            what = f"{component.name} has no input {key} to search for."
            yield document.wrong((*place, "search_space", key), what)
    metric = document.get(*place, "objective", "primary_metric")
    if metric != METRIC:
        what = f"The metric {metric} is never logged."
        yield document.wrong((*place, "objective", "primary_metric"), what, f"Use {METRIC}.")
    if document.get(*place, "objective", "goal") != "maximize":
        what = "The goal should be maximize: the score is the better the higher it is."
        yield document.wrong((*place, "objective", "goal"), what)
    limits = document.section(*place, "limits")
    total, most = limits.get("max_total_trials"), limits.get("max_concurrent_trials", 1)
    for key, value in limits.items():
        if not isinstance(value, int) or value < 1:
            what = f"{key} should be 1 or more, is {value!r}."
            yield document.wrong((*place, "limits", key), what)
    if isinstance(total, int) and isinstance(most, int) and most > total:
        what = f"{most} trials at once are more than {total} in all."
        yield document.wrong((*place, "limits", "max_concurrent_trials"), what)


def _check_pipeline_ends(
    document: Document, components: Mapping[str, Document]
) -> Iterator[Finding]:
    """The pipeline's inputs and outputs: that the steps use them."""
    used, filled = set(), set()
    for name in components:
        for value in document.section("jobs", name, "inputs").values():
            bound = _binding(value)
            if bound and not bound.job:
                used.add(bound.name)
        for value in document.section("jobs", name, "outputs").values():
            bound = _binding(value)
            if bound:
                filled.add(bound.name)
    for name in document.section("inputs"):
        if name not in used:
            yield document.wrong(("inputs", name), f"No step uses the pipeline's input {name}.")
    for name in document.section("outputs"):
        if name not in filled:
            yield document.wrong(("outputs", name), f"No step fills the pipeline's output {name}.")


def _check_order(document: Document) -> Iterator[Finding]:
    """That no job waits, over others or at once, for itself."""
    after: dict[str, set[str]] = {}
    for name in document.section("jobs"):
        values = document.section("jobs", name, "inputs").values()
        bound = [_binding(value) for value in values]
        after[name] = {b.job for b in bound if b and b.job}
    left = set(after)
    while ready := {name for name in left if not after[name] & left}:
        left -= ready
    if left:
        names = [name for name in after if name in left]
        what = f"These steps wait for each other: {', '.join(names)}."
        yield document.wrong(("jobs", names[0], "inputs"), what, "Bind one to an earlier step.")


def _binding(value: Any) -> Binding | None:
    """What a value is bound to; None if it is no binding."""
    path = value.get("path") if isinstance(value, dict) else value
    found = PLACEHOLDER.fullmatch(path.strip()) if isinstance(path, str) else None
    match found[1].split(".") if found else []:
        case ["parent", "inputs" | "outputs" as kind, name]:
            return Binding("", kind, name)
        case ["parent", "jobs", job, kind, name]:
            return Binding(job, kind, name)
    return None


def script_problem(document: Document, place: Place, needs: tuple[str, ...]) -> Finding | None:
    """What is wrong with a scoring script: not there, not Python, or without a function."""
    folder = document.local(str(document.get("code_configuration", "code", default=".")))
    script = str(document.get(*place, default=""))
    if not folder.is_dir():
        what = f"The code folder {folder} does not exist."
        return document.wrong(("code_configuration", "code"), what)
    if not is_uploaded(folder, Path(script)):
        return document.wrong(
            place, f"There is no script {script} in what is uploaded of {folder}."
        )
    try:
        tree = ast.parse((folder / script).read_text(encoding="utf-8"))
    except SyntaxError as error:
        return document.wrong(place, f"{script} is no Python: line {error.lineno}: {error.msg}.")
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    lacking = [name for name in needs if name not in defined]
    if lacking:
        return document.wrong(place, f"{script} lacks the functions {', '.join(lacking)}.")
    return None
