"""What the JSON schema of pipelines does not notice: names, orders, conditions, and outputs that nobody sets."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from pipelines.expressions import FUNCTIONS, STATUS, functions, paths
from pipelines.loading import PipelineError
from pipelines.model import Job, Pipeline, Stage, Step
from pipelines.tasks import TASKS

NAME = re.compile(r"[A-Za-z_]\w*")
RUNTIME = re.compile(r"\$\[(.*)\]", re.DOTALL)


def problems(pipeline: Pipeline) -> list[str]:
    """Return what Azure Pipelines would refuse, or do otherwise than its reader expects."""
    found = list(_graph("stage", pipeline.stages))
    found += _expressions("the pipeline", "", pipeline.variables, ("variables",))
    for stage in pipeline.stages:
        known = _outputs_of_stages(pipeline, stage)
        found += _expressions(
            f"stage {stage.name}", stage.condition, stage.variables, ("variables", "dependencies"), known
        )
        found += _graph(f"job of {stage.name}", stage.jobs)
        for job in stage.jobs:
            found += _job(pipeline, stage, job)
    return found


def _graph(kind: str, parts: Sequence[Stage] | Sequence[Job]) -> Iterator[str]:
    names = [part.name for part in parts]
    yield from (f"{kind} {name}: the name is used twice" for name in sorted(set(names)) if names.count(name) > 1)
    for part in parts:
        if not NAME.fullmatch(part.name):
            yield f"{kind} {part.name}: not a valid name"
        yield from (
            f"{kind} {part.name}: depends on {one}, which is unknown" for one in set(part.depends_on) - set(names)
        )
    try:
        TopologicalSorter({part.name: part.depends_on for part in parts}).prepare()
    except CycleError:
        yield f"{kind} {', '.join(names)}: they wait for each other"


def _job(pipeline: Pipeline, stage: Stage, job: Job) -> Iterator[str]:
    where = f"job {stage.name}.{job.name}"
    known = {**_outputs_of_jobs(stage, job), **_outputs_from_stages(pipeline, stage)}
    contexts = ("variables", "dependencies", "stageDependencies")
    yield from _expressions(where, job.condition, job.variables, contexts, known)
    if job.deployment and "deploy" in job.name.lower():
        yield f"{where}: the name of a deployment job may not contain deploy"
    kinds = {step.kind for step in job.steps}
    if job.deployment and "checkout" not in kinds:
        yield f"{where}: a deployment job without checkout has no code"
    if job.deployment and "download" not in kinds:
        yield f"{where}: a deployment job without download gets all artifacts"
    names = [step.name for step in job.steps if step.name]
    yield from (f"{where}: the step {name} occurs twice" for name in sorted(set(names)) if names.count(name) > 1)
    for step in job.steps:
        yield from _step(f"{where}: step {step.label}", step)


def _step(where: str, step: Step) -> Iterator[str]:
    yield from _expressions(where, step.condition, {}, ("variables",))
    if step.kind == "task" and step.content not in TASKS:
        yield f"{where}: the task {step.content} is not known here"
    if step.name and not NAME.fullmatch(step.name):
        yield f"{where}: {step.name} is not a valid name"
    if any("$[" in text for text in (*step.env.values(), *step.inputs.values())):
        yield f"{where}: $[ ] works only in variables and conditions"


def _expressions(
    where: str,
    condition: str,
    variables: Mapping[str, str],
    contexts: Sequence[str],
    outputs: Mapping[tuple[str, ...], Iterable[str]] | None = None,
) -> Iterator[str]:
    """Check a condition and the variables that are computed when the run gets there."""
    computed = {name: found[1] for name, value in variables.items() if (found := RUNTIME.fullmatch(value.strip()))}
    yield from (
        f"{where}: the variable {one} is only partly $[ ]"
        for one in variables
        if "$[" in variables[one] and one not in computed
    )
    if condition:
        status = functions_of(condition)
        if status is not None and not status & set(STATUS):
            yield f"{where}: the condition has no status function, so it holds after a cancel too"
    for text in dict.fromkeys((condition, *computed.values())):
        if text:
            allowed = {*FUNCTIONS, *(STATUS if text is condition else ())}
            yield from _expression(where, text, allowed, contexts, outputs or {})


def functions_of(text: str) -> set[str] | None:
    """Return the functions of an expression, or None if it is none."""
    try:
        return functions(text)
    except PipelineError:
        return None


def _expression(
    where: str, text: str, allowed: set[str], contexts: Sequence[str], outputs: Mapping[tuple[str, ...], Iterable[str]]
) -> Iterator[str]:
    try:
        unknown, used = functions(text) - allowed, paths(text)
    except PipelineError as error:
        yield f"{where}: {error}"
        return
    yield from (f"{where}: the function {name} is not known here" for name in sorted(unknown))
    for path in sorted(used):
        if path[0] not in contexts:
            yield f"{where}: {path[0]} is not available here"
        elif path[0] != "variables" and not _is_set(path, outputs):
            yield f"{where}: {'.'.join(path)} is set by nothing in dependsOn"


def _is_set(path: tuple[str, ...], outputs: Mapping[tuple[str, ...], Iterable[str]]) -> bool:
    """Return whether an output's step exists; which variables it sets is known only when it runs."""
    *part, kind, key = path if path[-1] != "result" else (*path, "")
    if kind == "result":
        return tuple(part) in outputs
    return kind == "outputs" and any(key.startswith(f"{step}.") for step in outputs.get(tuple(part), ()))


def _steps(job: Job) -> list[str]:
    """Return what an output's key begins with, as the job's own dependents write it."""
    prefix = f"{job.name}." if job.deployment else ""
    return [prefix + step.name for step in job.steps if step.name]


def _outputs_of_jobs(stage: Stage, job: Job) -> dict[tuple[str, ...], list[str]]:
    return {("dependencies", one.name): _steps(one) for one in stage.jobs if one.name in job.depends_on}


def _outputs_from_stages(pipeline: Pipeline, stage: Stage) -> dict[tuple[str, ...], list[str]]:
    before = [one for one in pipeline.stages if one.name in stage.depends_on]
    return {("stageDependencies", one.name, job.name): _steps(job) for one in before for job in one.jobs}


def _outputs_of_stages(pipeline: Pipeline, stage: Stage) -> dict[tuple[str, ...], list[str]]:
    before = [one for one in pipeline.stages if one.name in stage.depends_on]
    return {
        ("dependencies", one.name): [f"{job.name}.{step}" for job in one.jobs for step in _steps(job)] for one in before
    }
