"""The stages, jobs and steps of an expanded pipeline, with what Azure Pipelines adds where nothing is said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.loading import PipelineError

PIPELINE_KEYS = {"name", "trigger", "pr", "schedules", "variables", "stages", "jobs", "steps", "pool", "lockBehavior"}
STAGE_KEYS = {"stage", "displayName", "dependsOn", "condition", "variables", "jobs", "pool", "lockBehavior"}
JOB_KEYS = {"displayName", "dependsOn", "condition", "variables", "pool", "timeoutInMinutes"}
STEP_KEYS = {"name", "displayName", "condition", "continueOnError", "env", "timeoutInMinutes"}
# The keys of a step by its first key.
STEPS = {
    "script": {"script", "workingDirectory"},
    "bash": {"bash", "workingDirectory"},
    "task": {"task", "inputs"},
    "checkout": {"checkout", "fetchDepth", "persistCredentials"},
    "publish": {"publish", "artifact"},
    "download": {"download", "artifact"},
}


@dataclass(frozen=True)
class Step:
    """A step: `kind` is its first key and `content` that key's value."""

    kind: str
    content: str
    name: str
    label: str
    condition: str
    env: Mapping[str, str]
    more: Mapping[str, Any]

    @property
    def inputs(self) -> Mapping[str, str]:
        """Return a task's inputs."""
        return dict(self.more.get("inputs", {}))


@dataclass(frozen=True)
class Job:
    """A job; `environment` is that of a deployment job, else empty."""

    name: str
    deployment: bool
    environment: str
    depends_on: tuple[str, ...]
    condition: str
    variables: Mapping[str, str]
    timeout: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Stage:
    """A stage, which waits for the checks of its jobs' environments."""

    name: str
    depends_on: tuple[str, ...]
    condition: str
    variables: Mapping[str, str]
    lock: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Pipeline:
    """An expanded pipeline."""

    stages: tuple[Stage, ...]
    variables: Mapping[str, str]
    content: Mapping[str, Any] = field(repr=False)


def read(content: Mapping[str, Any]) -> Pipeline:
    """Return the stages, jobs and steps of an expanded pipeline."""
    _known(content, PIPELINE_KEYS, "the pipeline")
    stages = content.get("stages") or [{"stage": "__default", "jobs": _jobs(content)}]
    lock = str(content.get("lockBehavior", ""))
    read_stages: list[Stage] = []
    for stage in stages:
        before = (read_stages[-1].name,) if read_stages else ()
        read_stages.append(_stage(stage, before, lock))
    return Pipeline(tuple(read_stages), _variables(content.get("variables", {})), content)


def _jobs(content: Mapping[str, Any]) -> Any:
    return content.get("jobs") or [{"job": "Job", "steps": content["steps"]}]


def _stage(content: Mapping[str, Any], before: tuple[str, ...], lock: str) -> Stage:
    _known(content, STAGE_KEYS, f"the stage {content['stage']}")
    lock = str(content.get("lockBehavior", lock))
    if lock not in ("", "sequential", "runLatest"):
        raise PipelineError(f"lockBehavior may not be {lock}")
    return Stage(
        name=content["stage"],
        depends_on=_depends_on(content, before),
        condition=content.get("condition", ""),
        variables=_variables(content.get("variables", {})),
        lock=lock,
        jobs=tuple(_job(job) for job in content["jobs"]),
    )


def _job(content: Mapping[str, Any]) -> Job:
    deployment = "deployment" in content
    name = content["deployment" if deployment else "job"]
    own = {"deployment", "environment", "strategy"} if deployment else {"job", "steps"}
    _known(content, JOB_KEYS | own, f"the job {name}")
    steps, environment = content.get("steps", []), ""
    if deployment:
        given = content["environment"]
        environment = given if isinstance(given, str) else given["name"]
        try:
            [(kind, run_once)] = content["strategy"].items()
            [(hook, deploy)] = run_once.items()
            [(key, steps)] = deploy.items()
        except ValueError:
            raise PipelineError(f"the job {name} has more than runOnce.deploy.steps") from None
        if (kind, hook, key) != ("runOnce", "deploy", "steps"):
            raise PipelineError(f"the job {name} has {kind}.{hook}.{key}, which is not known here")
    return Job(
        name=name,
        deployment=deployment,
        environment=environment,
        depends_on=_depends_on(content, ()),
        condition=content.get("condition", ""),
        variables=_variables(content.get("variables", {})),
        timeout=content.get("timeoutInMinutes", ""),
        steps=tuple(_step(step) for step in steps),
    )


def _step(content: Mapping[str, Any]) -> Step:
    kind = next(iter(content))
    if kind not in STEPS:
        raise PipelineError(f"a step that begins with {kind} is not known here")
    _known(content, STEPS[kind] | STEP_KEYS, f"the step {content[kind]}")
    return Step(
        kind=kind,
        content=content[kind],
        name=content.get("name", ""),
        label=content.get("displayName") or content.get("name") or content[kind].partition("\n")[0],
        condition=content.get("condition", ""),
        env=content.get("env", {}),
        more={key: content[key] for key in content if key not in ("env", "condition", "name", "displayName", kind)},
    )


def _depends_on(content: Mapping[str, Any], default: tuple[str, ...]) -> tuple[str, ...]:
    given = content.get("dependsOn", list(default))
    return tuple([given] if isinstance(given, str) and given else given)


def _variables(given: Any) -> Mapping[str, str]:
    if isinstance(given, dict):
        return given
    if any(set(one) != {"name", "value"} for one in given):
        raise PipelineError("variables need a name and a value; groups are not known here")
    return {one["name"]: one["value"] for one in given}


def _known(content: Mapping[str, Any], keys: set[str], what: str) -> None:
    unknown = set(content) - keys
    if unknown:
        raise PipelineError(f"{what} has {', '.join(sorted(unknown))}, which is not known here")
