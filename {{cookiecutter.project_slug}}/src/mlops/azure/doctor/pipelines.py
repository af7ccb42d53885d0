"""Rules about pipelines: how steps are bound to each other, and the order that follows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from mlops.azure.doctor.components import PLACEHOLDER, Problem, value_problem
from mlops.azure.doctor.documents import Context, Document, Finding

# The job is None for an input or output of the pipeline itself.
BINDING = re.compile(
    r"\$\{\{\s*parent\.(?:jobs\.(?P<job>\w+)\.)?(?P<kind>inputs|outputs)\.(?P<name>\w+)\s*\}\}"
)
SETTINGS = ("default_compute", "default_datastore", "continue_on_step_failure", "force_rerun")

Components = Mapping[str, Document]  # the component of each step


def check_pipeline(document: Document, context: Context) -> Iterator[Finding]:
    """Check a pipeline's steps, its own inputs and outputs, and its settings."""
    if not document.section("jobs"):
        return
    components = {}
    for key in ("component", "trial"):
        for (_, name, _), reference in document.match(f"jobs.*.{key}"):
            component = context.by_path.get(document.local(str(reference)))
            if component and component.kind == "commandComponent":
                components[str(name)] = component
    for name, component in components.items():
        yield from _check_names(document, name, component)
        yield from _check_inputs(document, name, components)
    yield from _check_ends(document)
    yield from _check_order(document)
    for key in document.section("settings"):
        if key not in SETTINGS:
            fix = f"Use one of: {', '.join(SETTINGS)}."
            message = f"Pipelines have no setting {key}."
            yield document.finding("AZ025", ("settings", key), message, fix)


def _binding(value: Any) -> re.Match[str] | None:
    """Return what a value is bound to; None if it is not a valid binding."""
    path = value.get("path") if isinstance(value, dict) else value
    return BINDING.fullmatch(path.strip()) if isinstance(path, str) else None


def _check_names(document: Document, step: str, component: Document) -> Iterator[Finding]:
    """Check that a step uses names that its component and the pipeline declare."""
    for section, kind in (("inputs", "input"), ("search_space", "input"), ("outputs", "output")):
        declared = component.section(f"{kind}s")
        for key in document.section("jobs", step, section):
            if key not in declared:
                message = f"{component.name} has no {kind} {key}."
                fix = f"Use one of: {', '.join(declared) or 'none'}."
                yield document.finding("AZ025", ("jobs", step, section, key), message, fix)
    for path, value in document.match(f"jobs.{step}.outputs.*"):
        bound = _binding(value)
        if bound and bound["name"] not in document.section("outputs"):
            message = f"The pipeline has no output {bound['name']}."
            yield document.finding("AZ025", path, message, "Declare it or correct its name.")


def _check_inputs(document: Document, step: str, components: Components) -> Iterator[Finding]:
    """Check that the inputs of a step have values of the declared types."""
    declared = components[step].section("inputs")
    for path, value in document.match(f"jobs.{step}.inputs.*"):
        about = declared.get(str(path[-1]))
        if isinstance(about, dict) and (problem := _problem(document, value, about, components)):
            code, message, fix = problem
            yield document.finding(code, path, f"The input {path[-1]} {message}.", fix)


def _problem(
    document: Document, value: Any, about: Mapping[str, Any], components: Components
) -> Problem | None:
    """Return why an input cannot take a value; None if it can."""
    bound = _binding(value)
    if bound:
        return _binding_problem(document, bound, about, components)
    if isinstance(value, str) and PLACEHOLDER.search(value):
        fix = "Use ${{parent.inputs.NAME}} or ${{parent.jobs.STEP.outputs.NAME}}."
        return "AZ025", f"is bound to {value}, which is not a valid binding", fix
    problem = value_problem(value, about)
    return ("AZ024", problem, "") if problem else None


def _binding_problem(
    document: Document, bound: re.Match[str], about: Mapping[str, Any], components: Components
) -> Problem | None:
    job, kind, name = bound.groups()
    sources, origin = document.section("inputs"), "pipeline"
    if job:
        jobs = document.section("jobs")
        if job not in jobs:
            fix = f"Use one of: {', '.join(jobs)}."
            return "AZ025", f"is bound to {job}, which is not a step", fix
        if job not in components:
            return None
        sources, origin = components[job].section("outputs"), f"step {job}"
    if name not in sources or (kind == "outputs") != bool(job):
        message = f"is bound to {kind}.{name} of the {origin}, which does not exist"
        return "AZ025", message, f"Use one of: {', '.join(sources) or 'none'}."
    source, wanted = sources[name], about.get("type")
    if not isinstance(source, dict):  # a literal
        problem = value_problem(source, about)
        return ("AZ024", problem, "") if problem else None
    found = source.get("type")
    if found == wanted or (found, wanted) == ("integer", "number"):
        return None
    return "AZ024", f"is bound to type {found}", f"Bind it to type {wanted}."


def _check_ends(document: Document) -> Iterator[Finding]:
    """Check that the steps use the pipeline's inputs and fill its outputs."""
    for kind, verb in (("inputs", "uses"), ("outputs", "fills")):
        bound = [_binding(value) for _, value in document.match(f"jobs.*.{kind}.*")]
        used = {found["name"] for found in bound if found and not found["job"]}
        for name in document.section(kind):
            if name not in used:
                message = f"No step {verb} the pipeline's {kind[:-1]} {name}."
                yield document.finding("AZ021", (kind, name), message, "Use it or remove it.")


def _check_order(document: Document) -> Iterator[Finding]:
    """Check that no step waits, directly or indirectly, for itself."""
    waits: dict[Any, set[str]] = {name: set() for name in document.section("jobs")}
    for (_, name, *_), value in document.match("jobs.*.inputs.*"):
        if (bound := _binding(value)) and bound["job"]:
            waits[name].add(bound["job"])
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        names = [name for name in waits if name in error.args[1]]
        message = f"These steps wait for each other: {', '.join(names)}."
        path = ("jobs", names[0], "inputs")
        yield document.finding("AZ029", path, message, "Bind one to an earlier step.")
