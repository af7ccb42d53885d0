"""Rules about pipelines: how steps are bound to each other, and the order that follows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mlops.azure.doctor.components import PLACEHOLDER, Problem, value_problem
from mlops.azure.doctor.documents import Context, Document, FieldPath, Finding

BINDING = re.compile(r"parent\.(?:jobs\.(\w+)\.)?(inputs|outputs)\.(\w+)")
SETTINGS = ("default_compute", "default_datastore", "continue_on_step_failure", "force_rerun")


class Binding(NamedTuple):
    """What ``${{parent. ...}}`` refers to."""

    job: str | None  # None for an input or output of the pipeline itself
    kind: str  # inputs or outputs
    name: str


@dataclass(frozen=True)
class Step:
    """A job of a pipeline, with its component."""

    name: str
    pipeline: Document
    component: Document

    @property
    def path(self) -> FieldPath:
        return ("jobs", self.name)


def check_pipeline(document: Document, context: Context) -> Iterator[Finding]:
    """Check a pipeline's steps, its own inputs and outputs, and its settings."""
    steps = {}
    for key in ("component", "trial"):
        for (_, name, _), reference in document.match(f"jobs.*.{key}"):
            component = context.by_path.get(document.local(str(reference)))
            if component and component.kind == "commandComponent":
                steps[str(name)] = Step(str(name), document, component)
    for step in steps.values():
        yield from _check_inputs(step, steps)
        yield from _check_outputs(step)
        if document.get(*step.path, "type") == "sweep":
            yield from _check_sweep(step)
    if document.section("jobs"):
        yield from _check_ends(document)
    yield from _check_order(document)
    yield from _check_settings(document)


def _binding(value: Any) -> Binding | None:
    """Return what a value is bound to; None if it is not a valid binding."""
    path = value.get("path") if isinstance(value, dict) else value
    placeholder = PLACEHOLDER.fullmatch(path.strip()) if isinstance(path, str) else None
    found = BINDING.fullmatch(placeholder[1]) if placeholder else None
    return Binding(found[1], found[2], found[3]) if found else None


def _check_inputs(step: Step, steps: Mapping[str, Step]) -> Iterator[Finding]:
    document, declared = step.pipeline, step.component.section("inputs")
    path: FieldPath = (*step.path, "inputs")
    given = document.section(*path)
    for key, value in given.items():
        if key not in declared:
            message = f"{step.component.name} has no input {key}."
            fix = f"Use one of: {', '.join(declared) or 'none'}."
            yield document.finding("AZ025", (*path, key), message, fix)
        elif problem := _input_problem(document, value, declared[key], steps):
            code, message, fix = problem
            yield document.finding(code, (*path, key), f"The input {key} {message}.", fix)
    searched = document.section(*step.path, "search_space")
    for key, about in declared.items():
        required = isinstance(about, dict) and not about.get("optional") and "default" not in about
        if required and key not in given and key not in searched:
            message = f"The step {step.name} gives no value for the input {key}."
            yield document.finding("AZ026", path, message, "Add the input.")


def _input_problem(
    document: Document, value: Any, declared: Any, steps: Mapping[str, Step]
) -> Problem | None:
    """Return why an input cannot take a value; None if it can."""
    about = declared if isinstance(declared, dict) else {}
    bound = _binding(value)
    if bound is None:
        if isinstance(value, str) and PLACEHOLDER.search(value):
            fix = "Use ${{parent.inputs.NAME}} or ${{parent.jobs.STEP.outputs.NAME}}."
            return "AZ027", f"is bound to {value}, which is not a valid binding", fix
        problem = value_problem(value, about)
        return ("AZ024", problem, "") if problem else None
    if bound.job:
        if bound.job not in document.section("jobs"):
            jobs = ", ".join(document.section("jobs"))
            return "AZ027", f"is bound to {bound.job}, which is not a step", f"Use one of: {jobs}."
        if bound.job not in steps:
            return None
        sources, origin = steps[bound.job].component.section("outputs"), f"step {bound.job}"
    else:
        sources, origin = document.section("inputs"), "pipeline"
    if bound.name not in sources or (bound.kind == "outputs") != bool(bound.job):
        message = f"is bound to {bound.kind}.{bound.name} of the {origin}, which does not exist"
        return "AZ027", message, f"Use one of: {', '.join(sources) or 'none'}."
    source, wanted = sources[bound.name], about.get("type")
    if not isinstance(source, dict):  # a literal
        problem = value_problem(source, about)
        return ("AZ024", problem, "") if problem else None
    found = source.get("type")
    if found == wanted or (found, wanted) == ("integer", "number"):
        return None
    return "AZ028", f"is bound to type {found}", f"Bind it to type {wanted}."


def _check_outputs(step: Step) -> Iterator[Finding]:
    document = step.pipeline
    for path, value in document.match(f"jobs.{step.name}.outputs.*"):
        if path[-1] not in step.component.section("outputs"):
            message = f"{step.component.name} has no output {path[-1]}."
            yield document.finding("AZ025", path, message, "Correct its name.")
        bound = _binding(value)
        if bound and bound.name not in document.section("outputs"):
            message = f"The pipeline has no output {bound.name}."
            yield document.finding("AZ025", path, message, "Declare it or correct its name.")


def _check_sweep(step: Step) -> Iterator[Finding]:
    from mlops.model.search import METRIC

    document, path = step.pipeline, step.path
    for key in document.section(*path, "search_space"):
        if key not in step.component.section("inputs"):
            message = f"{step.component.name} has no input {key}."
            yield document.finding("AZ025", (*path, "search_space", key), message, "Correct it.")
    for key, wanted in (("primary_metric", METRIC), ("goal", "maximize")):
        found = document.get(*path, "objective", key)
        if found != wanted:
            message = f"{key} is {found}; trials log {METRIC}, and higher is better."
            yield document.finding(
                "AZ031", (*path, "objective", key), message, f"Use {key}: {wanted}."
            )
    total = document.get(*path, "limits", "max_total_trials")
    most = document.get(*path, "limits", "max_concurrent_trials")
    if isinstance(total, int) and isinstance(most, int) and 0 < total < most:
        message = f"{most} concurrent trials are more than max_total_trials, {total}."
        limit = (*path, "limits", "max_concurrent_trials")
        yield document.finding("AZ031", limit, message, "Lower max_concurrent_trials.")


def _check_ends(document: Document) -> Iterator[Finding]:
    """Check that the steps use the pipeline's inputs and fill its outputs."""
    for kind, verb in (("inputs", "uses"), ("outputs", "fills")):
        bound = [_binding(value) for _, value in document.match(f"jobs.*.{kind}.*")]
        used = {found.name for found in bound if found and not found.job}
        for name in document.section(kind):
            if name not in used:
                message = f"No step {verb} the pipeline's {kind[:-1]} {name}."
                yield document.finding("AZ021", (kind, name), message, "Use it or remove it.")


def _check_order(document: Document) -> Iterator[Finding]:
    """Check that no step waits, directly or indirectly, for itself."""
    waits: dict[Any, set[str]] = {name: set() for name in document.section("jobs")}
    for (_, name, *_), value in document.match("jobs.*.inputs.*"):
        if (bound := _binding(value)) and bound.job:
            waits[name].add(bound.job)
    left = set(waits)
    while ready := {name for name in left if not waits[name] & left}:
        left -= ready
    if left:
        names = [name for name in waits if name in left]
        message = f"These steps wait for each other: {', '.join(names)}."
        yield document.finding(
            "AZ029", ("jobs", names[0], "inputs"), message, "Bind one to an earlier step."
        )


def _check_settings(document: Document) -> Iterator[Finding]:
    for key in document.section("settings"):
        if key not in SETTINGS:
            message = f"Pipelines have no setting {key}."
            fix = f"Use one of: {', '.join(SETTINGS)}."
            yield document.finding("AZ030", ("settings", key), message, fix)
    if not document.get("settings", "default_compute"):
        for name in document.section("jobs"):
            if not document.get("jobs", name, "compute"):
                message, fix = f"The step {name} has no compute.", "Set settings.default_compute."
                yield document.finding("AZ012", ("jobs", name), message, fix)
