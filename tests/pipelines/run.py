"""Runs an expanded pipeline: stages and jobs in order, where their conditions hold and their approvals are given."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pipelines.agent import CANCELED, FAILED, GOOD, ISSUES, SKIPPED, SUCCEEDED, Agent, Done, World
from pipelines.checks import RUNTIME
from pipelines.expressions import Function, evaluate, to_bool, to_text
from pipelines.loading import PipelineError
from pipelines.model import Job, Pipeline, Stage

Part = TypeVar("Part", Stage, Job)
Outputs = Mapping[str, str]


@dataclass
class Run:
    """What came of a run.

    Attributes
    ----------
    stages, jobs :
        Their results; a job's name begins with that of its stage and a dot.
    steps :
        All steps that were reached, in order.
    asked :
        The environments whose approval was waited for, in order.
    outputs :
        The output variables of each job, by the names that other jobs use.
    """

    stages: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    steps: list[Done] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    outputs: dict[str, Outputs] = field(default_factory=dict)

    @property
    def result(self) -> str:
        """Return the result of the whole run."""
        return _together(self.stages.values())

    @property
    def log(self) -> str:
        """Return how the steps ended, and what they printed."""
        return "\n".join(f"{one.stage}.{one.job}: {one.step}: {one.result}\n{one.output}" for one in self.steps)

    @property
    def cancelled(self) -> bool:
        """Return whether somebody cancelled the run."""
        return CANCELED in self.jobs.values()


def run(pipeline: Pipeline, world: World) -> Run:
    """Run a pipeline's stages one after the other."""
    done = Run()
    for stage in _in_order(pipeline.stages):
        done.stages[stage.name] = _run_stage(pipeline, stage, world, done)
    return done


def queue(lock: str, waiting: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which of the runs that wait for a lock go on, in order, and which are cancelled (approvals.md)."""
    if lock == "sequential":
        return list(waiting), []
    return list(waiting[-1:]), list(waiting[:-1])


def _run_stage(pipeline: Pipeline, stage: Stage, world: World, done: Run) -> str:
    variables = dict(world.variables)
    variables |= {name: _computed(value, {"variables": variables}) for name, value in pipeline.variables.items()}
    dependencies = {
        name: {"result": done.stages[name], "outputs": _outputs_of_stage(pipeline, name, done)}
        for name in stage.depends_on
    }
    context = {"variables": variables, "dependencies": dependencies}
    if not _holds(stage, pipeline.stages, done.stages, done.cancelled, context):
        return SKIPPED
    verdict = _ask(stage, world, done)
    if verdict:
        return verdict
    variables |= {name: _computed(value, context) for name, value in stage.variables.items()}
    for job in _in_order(stage.jobs):
        done.jobs[f"{stage.name}.{job.name}"] = _run_job(pipeline, stage, job, variables, world, done)
    return _together(done.jobs[f"{stage.name}.{job.name}"] for job in stage.jobs)


def _ask(stage: Stage, world: World, done: Run) -> str:
    """Ask for the approvals of all environments of a stage; return its result if it may not start."""
    for environment in sorted({job.environment for job in stage.jobs if job.environment}):
        if environment not in world.environments:
            raise PipelineError(f"the environment {environment} does not exist")
        answer = world.environments[environment]
        if answer:
            done.asked.append(environment)
            world.meanwhile()
        if answer not in ("", "approved"):
            return {"rejected": FAILED, "timed out": SKIPPED}[answer]
    return ""


def _run_job(pipeline: Pipeline, stage: Stage, job: Job, variables: Mapping[str, str], world: World, done: Run) -> str:
    results = {one.name: done.jobs.get(f"{stage.name}.{one.name}", "") for one in stage.jobs}
    context = {
        "variables": variables,
        "dependencies": {name: _outcome(f"{stage.name}.{name}", done) for name in job.depends_on},
        "stageDependencies": {
            one.name: {other.name: _outcome(f"{one.name}.{other.name}", done) for other in one.jobs}
            for one in pipeline.stages
            if one.name in stage.depends_on
        },
    }
    if not _holds(job, stage.jobs, results, done.cancelled, context):
        return SKIPPED
    own = {name: _computed(value, context) for name, value in job.variables.items()}
    agent = Agent(world, stage.name, job, {**variables, **own})
    result = agent.run()
    prefix = f"{job.name}." if job.deployment else ""
    done.outputs[f"{stage.name}.{job.name}"] = {prefix + key: value for key, value in agent.outputs.items()}
    done.steps += agent.done
    done.summaries += agent.summaries
    return result


def _outcome(job: str, done: Run) -> dict[str, object]:
    return {"result": done.jobs.get(job, SKIPPED), "outputs": done.outputs.get(job, {})}


def _outputs_of_stage(pipeline: Pipeline, name: str, done: Run) -> dict[str, str]:
    """Return a stage's outputs as the condition of another stage names them."""
    [stage] = [one for one in pipeline.stages if one.name == name]
    return {
        f"{job.name}.{key}": value
        for job in stage.jobs
        for key, value in done.outputs.get(f"{name}.{job.name}", {}).items()
    }


def _computed(value: str, context: Mapping[str, object]) -> str:
    found = RUNTIME.fullmatch(value.strip())
    return to_text(evaluate(found[1], context)) if found else value


def _holds(
    part: Part, parts: Sequence[Part], results: Mapping[str, str], cancelled: bool, context: Mapping[str, object]
) -> bool:
    """Return whether a stage's or a job's condition holds."""
    before = _before(part, {one.name: one for one in parts})
    status = _functions({name: results[name] for name in before}, cancelled)
    return to_bool(evaluate(part.condition or "succeeded()", context, status))


def _before(part: Part, parts: Mapping[str, Part]) -> set[str]:
    """Return all parts before one in the dependency graph."""
    return {name for one in part.depends_on for name in ({one} | _before(parts[one], parts))}


def _functions(before: Mapping[str, str], cancelled: bool) -> dict[str, Function]:
    def chosen(names: tuple[str, ...]) -> list[str]:
        return [before[name] for name in names or before]

    def succeeded(*names: str) -> bool:
        return not cancelled and all(one in GOOD for one in chosen(names))

    return {
        "always": lambda: True,
        "canceled": lambda: cancelled,
        "failed": lambda *names: FAILED in chosen(names),
        "succeeded": succeeded,
        "succeededOrFailed": lambda: not cancelled,
    }


def _in_order(parts: Sequence[Part]) -> Iterator[Part]:
    """Return stages or jobs, each after those it depends on, else as they are written."""
    left, done = list(parts), set[str]()
    while left:
        one = next(part for part in left if set(part.depends_on) <= done)
        left.remove(one)
        done.add(one.name)
        yield one


def _together(results: Iterable[str]) -> str:
    """Return the result of a whole by those of its parts."""
    given = set(results)
    for result in (CANCELED, FAILED, ISSUES):
        if result in given:
            return result
    return SKIPPED if given == {SKIPPED} else SUCCEEDED
