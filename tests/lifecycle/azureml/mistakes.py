"""Mistakes that people make in azureml/ and project.yml, each made in a copy of the project.

``python mistakes.py`` prints which of them Azure ML's own validation finds, and which
the rules of `mlops doctor`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlops
import yaml
from mlops.azure.doctor import Finding, check_context, check_rules, read_context
from mlops.azure.doctor.documents import Context, Document
from mlops.azure.doctor.strict import validate_strictly
from mlops.cli import main as cli
from mlops.config import load_project

ROOT = Path(mlops.__file__).resolve().parents[2]  # the render under test
COPIED = ("azureml", "expectations", "src", "infra")
COPIED_FILES = (".amlignore", "project.yml", "requirements.txt", "docs/model-card.md")


@dataclass(frozen=True)
class Change:
    """A change to a file, and the field that findings should point to (dotted)."""

    edit: Callable[[Path], None]
    field: str = ""


@dataclass(frozen=True)
class Mistake:
    """A mistake, and the findings that it should lead to in its file: these and no others.

    Attributes
    ----------
    file : str
        The file that findings should name, relative to azureml/.
    code, says
        The code of the first finding, and words of its message or fix.
    at : str
        The field it points to, if not the one that was changed.
    also : tuple of (code, field)
        Further findings in the same file.
    """

    file: str
    title: str
    change: Change
    code: str
    says: str
    at: str | None = None
    also: tuple[tuple[str, str], ...] = ()

    @property
    def reported_file(self) -> str:
        return os.path.normpath(f"azureml/{self.file}").replace(os.sep, "/")


def edit(place: str, change: Callable[[dict[str, Any], str], object]) -> Callable[[Path], None]:
    """Return a function that changes the field at a dotted place of a YAML file."""

    def apply(file: Path) -> None:
        content = yaml.safe_load(file.read_text("utf-8"))
        *sections, field = place.split(".")
        section = content
        for name in sections:
            section = section.setdefault(name, {})
        change(section, field)
        file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")

    return apply


def put(place: str, value: Any) -> Change:
    """Set a field."""
    return Change(edit(place, lambda section, field: section.update({field: value})), place)


def drop(place: str) -> Change:
    """Remove a field; findings should point to its section."""
    return Change(edit(place, lambda section, field: section.pop(field)), place.rpartition(".")[0])


def misspell(place: str, name: str) -> Change:
    """Rename a field."""
    renamed = ".".join([*place.split(".")[:-1], name])
    return Change(edit(place, lambda section, field: section.update({name: section.pop(field)})), renamed)


def swap(old: str, new: str, field: str = "command") -> Change:
    """Replace text."""

    def apply(file: Path) -> None:
        text = file.read_text("utf-8")
        assert old in text, f"{file.name} does not contain {old}"
        file.write_text(text.replace(old, new, 1), "utf-8")

    return Change(apply, field)


def elsewhere(path: str, change: Change, field: str) -> Change:
    """Change another file, at a path relative to that of the mistake."""
    return Change(lambda file: change.edit(file.parent / path), field)


def trigger(kind: str, **fields: Any) -> Change:
    return Change(put("trigger", {"type": kind, **fields}).edit, "trigger")


def line_of(file: Path, field: str) -> int:
    """Return the line of a field's key in a file, by reading its lines."""
    lines, number = file.read_text("utf-8").splitlines(), 0
    for key in filter(None, field.split(".")):
        number = next(n for n, line in enumerate(lines[number:], number + 1) if line.lstrip(" -").startswith(f"{key}:"))
    return max(number, 1)


def no_thresholds(file: Path) -> None:
    put("gate.thresholds", {}).edit(file)
    put("gate.slice_thresholds", {}).edit(file)


DELETE = Change(Path.unlink)
PROJECT = "../project.yml"
PIPELINE, SWEEP = "pipeline.yml", "search-pipeline.yml"
TRAIN, SEARCH, EVALUATE = (f"components/{name}.yml" for name in ("train", "search", "evaluate"))
ENVIRONMENT, DATA, COMPUTE = "environment.yml", "data.yml", "compute.yml"
MANAGED, ENDPOINT = "managed/deployment.yml", "managed/endpoint.yml"
K8S, K8S_ENDPOINT, K8S_COMPUTE = (f"kubernetes/{name}.yml" for name in ("deployment", "endpoint", "compute"))
BATCH, BATCH_ENDPOINT, BATCH_PIPELINE, BATCH_STEP = (
    f"batch/{name}.yml" for name in ("deployment", "endpoint", "pipeline", "score")
)
MONITOR, SCHEDULE = "monitoring.yml", "schedule.yml"
SIGNALS = "create_monitor.monitoring_signals"
WATCHED = "create_monitor.monitoring_target.endpoint_deployment_id"
EARLIER = "${{parent.jobs.validate.outputs.results}}"
STEPS = ("validate", "train", "evaluate", "register", "report")
BINDING = "jobs.train.inputs.earlier"
SCRIPT = "code_configuration.scoring_script"
ABSENT = "kubernetes" if (ROOT / "azureml" / "managed").is_dir() else "managed"  # target of other renders

LITERAL = (put("inputs.first", -1), put("jobs.search.inputs.candidate", "${{parent.inputs.first}}"))
AGAIN = (
    "inputs: {data: {type: uri_file}, earlier: {type: uri_folder}, origin: {type: string, optional: true}}\noutputs:"
)

M = Mistake
ALL = [
    # pipelines
    M(PIPELINE, "unknown field", misspell("experiment_name", "experiment_nam"), "AZ004", "experiment_nam"),
    M(
        PIPELINE,
        "unknown setting",
        misspell("settings.continue_on_step_failure", "continue_on_failure"),
        "AZ025",
        "no setting continue_on_failure",
    ),
    M(PIPELINE, "unknown field of a step", put("jobs.train.computer", "x"), "AZ004", "computer"),
    M(PIPELINE, "component missing", put("jobs.train.component", "components/nope.yml"), "AZ008", "nope.yml"),
    M(PIPELINE, "component deleted", elsewhere(TRAIN, DELETE, "jobs.train.component"), "AZ008", "train.yml"),
    M(
        PIPELINE,
        "unknown input of a component",
        misspell(BINDING, "earlyer"),
        "AZ025",
        "no input earlyer",
        also=(("AZ004", "jobs.train.inputs"),),
    ),
    M(PIPELINE, "input missing", drop(BINDING), "AZ004", "Required input 'earlier'"),
    M(PIPELINE, "unknown step", put(BINDING, EARLIER.replace("validate", "validat")), "AZ025", "validat"),
    M(PIPELINE, "unknown output of a step", put(BINDING, EARLIER.replace("results", "x")), "AZ025", "outputs.x"),
    M(PIPELINE, "input of a step", put(BINDING, "${{parent.jobs.validate.inputs.data}}"), "AZ025", "inputs.data"),
    M(PIPELINE, "unknown pipeline input", put("jobs.train.inputs.data", "${{parent.inputs.rows}}"), "AZ025", "rows"),
    M(
        PIPELINE,
        "unknown pipeline output",
        put("jobs.report.outputs.results", "${{parent.outputs.everything}}"),
        "AZ025",
        "everything",
        also=(("AZ021", "outputs.results"),),
    ),
    M(
        PIPELINE,
        "unknown output of a component",
        misspell("jobs.report.outputs.results", "result"),
        "AZ025",
        "no output result",
    ),
    M(
        PIPELINE,
        "circular steps",
        put(BINDING, EARLIER.replace("validate", "evaluate")),
        "AZ029",
        "wait for each other: train, evaluate",
        at="jobs.train.inputs",
    ),
    M(
        PIPELINE,
        "step that waits for itself",
        put(BINDING, EARLIER.replace("validate", "train")),
        "AZ029",
        "wait for each other: train",
        at="jobs.train.inputs",
    ),
    M(PIPELINE, "folder for a file", put("jobs.train.inputs.data", EARLIER), "AZ024", "bound to type uri_folder"),
    M(
        PIPELINE,
        "data of another type",
        put("inputs.data.type", "mltable"),
        "AZ024",
        "bound to type mltable",
        at="jobs.validate.inputs.data",
        also=tuple(("AZ024", f"jobs.{step}.inputs.data") for step in ("train", "evaluate", "report")),
    ),
    M(SWEEP, "file for a number", put("jobs.search.inputs.candidate", "${{parent.inputs.data}}"), "AZ024", "integer"),
    M(SWEEP, "text for a number", put("jobs.search.inputs.candidate", "first"), "AZ024", "not of type integer"),
    M(
        SWEEP,
        "number of the pipeline out of range",
        Change(lambda file: [c.edit(file) for c in LITERAL] and None, "jobs.search.inputs.candidate"),
        "AZ024",
        "below the minimum 0",
    ),
    M(SWEEP, "number out of range", put("jobs.search.inputs.candidate", -1), "AZ024", "below the minimum 0"),
    M(PIPELINE, "binding without parent", put(BINDING, "${{jobs.validate.outputs.results}}"), "AZ025", "not a valid"),
    M(
        PIPELINE,
        "no compute",
        drop("settings.default_compute"),
        "AZ004",
        "Compute not set",
        at="jobs.validate",
        also=tuple(("AZ004", f"jobs.{step}") for step in STEPS[1:]),
    ),
    M(PIPELINE, "unknown compute", put("settings.default_compute", "azureml:ghost"), "AZ011", "defines ghost"),
    M(
        PIPELINE,
        "compute with a version",
        put("jobs.train.compute", "azureml:cpu-cluster:1"),
        "AZ010",
        "without a version",
    ),
    M(PIPELINE, "compute without azureml:", put("jobs.train.compute", "cpu"), "AZ010", "'cpu' is not a valid"),
    M(PIPELINE, "invalid reference", put("inputs.data.path", "azureml:data@@latest"), "AZ010", "data@@latest"),
    M(PIPELINE, "unknown data", put("inputs.data.path", "azureml:date@latest"), "AZ011", "defines date"),
    M(PIPELINE, "data without version", put("inputs.data.path", "azureml:data"), "AZ010", "azureml:NAME@latest or"),
    M(PIPELINE, "local path missing", put("inputs.data.path", "../nodata"), "AZ008", "nodata"),
    M(PIPELINE, "unused input", put("inputs.more", {"type": "uri_folder"}), "AZ021", "the pipeline's input more"),
    M(
        PIPELINE,
        "unfilled output",
        drop("jobs.report.outputs"),
        "AZ021",
        "the pipeline's output results",
        at="outputs.results",
    ),
    # the sweep
    M(SWEEP, "search of an unknown input", misspell("jobs.search.search_space.candidate", "cand"), "AZ025", "cand"),
    M(SWEEP, "metric never logged", put("jobs.search.objective.primary_metric", "accuracy"), "AZ007", "accuracy"),
    M(SWEEP, "worst instead of best", put("jobs.search.objective.goal", "minimize"), "AZ007", "goal is minimize"),
    M(SWEEP, "no trials", put("jobs.search.limits.max_total_trials", 0), "AZ007", "max_total_trials"),
    M(
        SWEEP,
        "too many at once",
        put("jobs.search.limits.max_concurrent_trials", 99),
        "AZ007",
        "max_concurrent_trials is 99, more than max_total_trials, 12",
    ),
    M(SWEEP, "unknown sampling", put("jobs.search.sampling_algorithm", "guess"), "AZ004", "guess"),
    # components
    M(TRAIN, "code folder missing", put("code", "../../nope"), "AZ008", "nope"),
    M(TRAIN, "unknown command", swap("mlops train", "mlops trian"), "AZ023", "no command 'trian'"),
    M(TRAIN, "unknown option", swap("train --data", "train --dat"), "AZ023", "--dat"),
    M(
        SEARCH,
        "option missing",
        swap("--candidate ${{inputs.candidate}}", ""),
        "AZ023",
        "requires --candidate",
        also=(("AZ021", "inputs.candidate"),),
    ),
    M(TRAIN, "extra argument", swap("mlops train", "mlops train now"), "AZ023", "does not take now"),
    M(TRAIN, "script missing", swap("python -m mlops train", "python src/nope.py"), "AZ009", "src/nope.py"),
    M(TRAIN, "module missing", swap("-m mlops train", "-m nope.train"), "AZ009", "nope.train"),
    M(TRAIN, "script not uploaded", swap("python -m mlops train", "python mistakes.py"), "AZ009", "mistakes.py"),
    M(TRAIN, "open quote", swap("--data ", "--data '"), "AZ023", "closing quotation"),
    M(
        TRAIN,
        "undeclared input",
        swap("inputs.data}}", "inputs.rows}}"),
        "AZ004",
        "inputs.rows",
        also=(("AZ021", "inputs.data"),),
    ),
    M(
        TRAIN,
        "undeclared output",
        swap("outputs.results}}", "outputs.result}}"),
        "AZ004",
        "expression: outputs.result.",
    ),
    M(TRAIN, "unused input", swap("--data ${{inputs.data}}", ""), "AZ021", "inputs.data", at="inputs.data"),
    M(TRAIN, "unused output", put("outputs.more", {"type": "uri_folder"}), "AZ021", "outputs.more"),
    M(
        EVALUATE,
        "optional input always used",
        swap('$[[--replace-champion "${{inputs.replace}}"]]', '--replace-champion "${{inputs.replace}}"'),
        "AZ023",
        "inputs.replace is optional",
    ),
    M(
        EVALUATE,
        "unused optional input",
        swap('$[[--accept-data-change "${{inputs.accept}}"]]', ""),
        "AZ021",
        "inputs.accept",
        at="inputs.accept",
    ),
    M(TRAIN, "no environment", drop("environment"), "AZ004", "environment: Missing data"),
    M(TRAIN, "unknown environment", put("environment", "azureml:mlop@latest"), "AZ011", "defines mlop"),
    M(TRAIN, "environment without version", put("environment", "azureml:mlops"), "AZ010", "azureml:NAME@latest or"),
    M(TRAIN, "unknown type", put("inputs.data.type", "uri_fold"), "AZ004", "uri_fold", at="inputs.data"),
    M(TRAIN, "invalid name", put("name", "Train it!"), "AZ004", "Currently got Train it!"),
    M(TRAIN, "no name", drop("name"), "AZ004", "name: Missing data"),
    M(TRAIN, "duplicated name", put("name", "validate"), "AZ006", "the name validate"),
    M(SEARCH, "default out of range", put("inputs.candidate.default", -5), "AZ024", "below the minimum 0"),
    M(SEARCH, "default of another type", put("inputs.candidate.default", "first"), "AZ024", "not of type integer"),
    M(TRAIN, "no command", drop("command"), "AZ004", "command: Missing data"),
    # the environment
    M(ENVIRONMENT, "conda file missing", put("conda_file", "nope.yml"), "AZ008", "nope.yml"),
    M(ENVIRONMENT, "no image", drop("build"), "AZ004", "Docker image or Dockerfile is required"),
    M(ENVIRONMENT, "image and build", put("image", "python:3.11"), "AZ004", "not both"),
    M(ENVIRONMENT, "build folder missing", put("build.path", "../nope"), "AZ008", "nope"),
    M(ENVIRONMENT, "Dockerfile missing", put("build.dockerfile_path", "azureml/Dockerfil"), "AZ009", "Dockerfil"),
    M(
        ENVIRONMENT,
        "Dockerfile copies a missing file",
        elsewhere("Dockerfile", swap("COPY requirements.txt", "COPY requirements.in"), "build.dockerfile_path"),
        "AZ009",
        "copies requirements.in",
    ),
    M(
        ENVIRONMENT,
        "Dockerfile copies an ignored file",
        elsewhere("../.amlignore", swap("!/requirements.txt\n", ""), "build.dockerfile_path"),
        "AZ009",
        "copies requirements.txt",
    ),
    # data and computes
    M(DATA, "data missing", put("path", "../nodata"), "AZ008", "nodata"),
    M(DATA, "unknown type of data", put("type", "uri_dir"), "AZ004", "Must be one of: uri_file"),
    M(DATA, "file called a folder", put("type", "uri_folder"), "AZ040", "is a file"),
    M(DATA, "folder called a file", put("path", ".."), "AZ040", "is a folder", at="type"),
    M(COMPUTE, "unknown size", put("size", "Standard_FAKE"), "AZ070", "Standard_FAKE"),
    M(COMPUTE, "misspelt size", put("size", "Standard_DS3v2"), "AZ070", "Did you mean Standard_DS3_v2"),
    M(COMPUTE, "no size", drop("size"), "AZ015", "field size is missing"),
    M(COMPUTE, "minimum above maximum", put("min_instances", 9), "AZ007", "more than max_instances, 2"),
    M(COMPUTE, "no nodes", put("max_instances", 0), "AZ007", "max_instances"),
    M(COMPUTE, "unknown tier", put("tier", "spot"), "AZ004", "spot"),
    M(COMPUTE, "unknown limit", misspell("max_instances", "max_nodes"), "AZ004", "max_nodes"),
    M(COMPUTE, "no idle time", put("idle_time_before_scale_down", 0), "AZ007", "idle_time"),
    M(COMPUTE, "invalid name", put("name", "cpu_cluster"), "AZ007", "cpu_cluster"),
    # managed endpoints
    M(ENDPOINT, "unknown authentication", put("auth_mode", "token"), "AZ007", "auth_mode is token"),
    M(ENDPOINT, "keys", put("auth_mode", "key"), "AZ007", "never keys"),
    M(ENDPOINT, "traffic of 110 %", put("traffic", {"blue": 100, "green": 10}), "AZ042", "traffic is 100, 10"),
    M(ENDPOINT, "traffic below 0", put("traffic", {"blue": 110, "green": -10}), "AZ042", "-10"),
    M(ENDPOINT, "too much mirrored", put("mirror_traffic", {"green": 60}), "AZ042", "mirror_traffic"),
    M(ENDPOINT, "invalid name", put("name", "under_score"), "AZ004", "rejects name"),
    M(ENDPOINT, "name too long", put("name", "x" * 33), "AZ004", "at most 32 characters"),
    M(
        ENDPOINT,
        "unknown field",
        misspell("auth_mode", "authmode"),
        "AZ004",
        "authmode: Unknown field",
        also=(("AZ015", ""),),
    ),
    M(MANAGED, "unknown field", misspell("instance_count", "instances"), "AZ004", "instances"),
    M(MANAGED, "unknown size", put("instance_type", "Standard_FAKE"), "AZ070", "Standard_FAKE"),
    M(MANAGED, "instance type of Kubernetes", put("instance_type", "defaultinstancetype"), "AZ070", "defaultinst"),
    M(MANAGED, "no instances", put("instance_count", 0), "AZ007", "instance_count"),
    M(MANAGED, "no model", drop("model"), "AZ015", "field model is missing"),
    M(MANAGED, "model without version", put("model", "azureml:model"), "AZ010", "'azureml:model' is not a valid"),
    M(MANAGED, "latest model", put("model", "azureml:model@latest"), "AZ010", "one exact version"),
    M(MANAGED, "model missing", put("model", "./nomodel"), "AZ008", "nomodel"),
    M(MANAGED, "invalid name", put("name", "Blue_1!"), "AZ004", "name for a deployment must"),
    M(MANAGED, "no endpoint", drop("endpoint_name"), "AZ004", "endpoint_name: Missing data"),
    M(MANAGED, "unknown endpoint", put("endpoint_name", "endpont"), "AZ011", "defines endpont"),
    M(MANAGED, "no time", put("request_settings.request_timeout_ms", 0), "AZ007", "1 to 180000"),
    M(MANAGED, "too much time", put("request_settings.request_timeout_ms", 600_000), "AZ007", "1 to 180000"),
    M(MANAGED, "script missing", put(SCRIPT, "mlops/serving/scor.py"), "AZ009", "scor.py"),
    M(MANAGED, "script without run", put(SCRIPT, "mlops/errors.py"), "AZ041", "does not define init and run"),
    M(
        MANAGED,
        "script with a syntax error",
        elsewhere("../../src/mlops/serving/score.py", swap("def init()", "def init("), SCRIPT),
        "AZ041",
        "is not valid Python",
    ),
    M(MANAGED, "no script", drop("code_configuration"), "AZ015", "scoring_script is missing"),
    M(MANAGED, "code folder missing", put("code_configuration.code", "../../scr"), "AZ008", "scr"),
    # Kubernetes
    M(K8S, "script missing", put(SCRIPT, "nope.py"), "AZ009", "nope.py"),
    M(K8S, "amount of cpu", put("resources.requests.cpu", "lots"), "AZ007", "cpu is lots, which is not valid"),
    M(K8S, "amount of memory", put("resources.limits.memory", "2GB"), "AZ007", "2GB"),
    M(
        K8S,
        "request above limit",
        put("resources.requests.memory", "8Gi"),
        "AZ007",
        "more than resources.limits.memory, 2Gi",
    ),
    M(K8S, "VM size", put("instance_type", "Standard_DS3_v2"), "AZ007", "this is a VM size"),
    M(K8S_ENDPOINT, "Entra on Kubernetes", put("auth_mode", "aad_token"), "AZ007", "aml_token"),
    M(K8S_ENDPOINT, "unknown cluster", put("compute", "azureml:aks1"), "AZ011", "defines aks1"),
    M(K8S_COMPUTE, "invalid namespace", put("namespace", "Azure_ML"), "AZ007", "Azure_ML"),
    M(K8S_COMPUTE, "invalid resource ID", put("resource_id", "aks-credit-production"), "AZ007", "resource ID"),
    M(
        PROJECT,
        "another network than that of infra/",
        put("azure.network", "public" if (ROOT / "infra" / "network_private.tf").is_file() else "private"),
        "AZ007",
        "but infra/ builds a",
    ),
    # batch
    M(BATCH, "unknown field", put("mini_batch_size", 3), "AZ004", "mini_batch_size"),
    M(BATCH, "no cluster", drop("settings.default_compute"), "AZ015", "settings.default_compute is missing"),
    M(BATCH, "cluster with a prefix", put("settings.default_compute", "azureml:cpu-cluster"), "AZ010", "name alone"),
    M(BATCH, "unknown cluster", put("settings.default_compute", "gpu-cluster"), "AZ011", "defines gpu-cluster"),
    M(BATCH, "component deleted", elsewhere("pipeline.yml", DELETE, "component"), "AZ008", "pipeline.yml"),
    M(BATCH_PIPELINE, "any version", put("jobs.score.inputs.model.path", "azureml:model@latest"), "AZ010", "one exact"),
    M(BATCH_PIPELINE, "invalid name", put("name", "Score-Files"), "AZ007", "Score-Files"),
    M(
        BATCH_PIPELINE,
        "unknown input",
        misspell("jobs.score.inputs.digest", "sum"),
        "AZ025",
        "no input sum",
        also=(("AZ004", "jobs.score.inputs"),),
    ),
    M(BATCH_STEP, "unknown option", swap("--digest", "--sum"), "AZ023", "mlops score: No such option"),
    M(BATCH, "online endpoint", put("endpoint_name", "endpoint"), "AZ011", "defines endpoint"),
    M(BATCH_ENDPOINT, "keys", put("auth_mode", "key"), "AZ007", "never keys"),
    # schedules
    M(
        SCHEDULE,
        "unknown frequency",
        trigger("recurrence", frequency="daily", interval=1),
        "AZ004",
        "daily",
        at="trigger.frequency",
    ),
    M(
        SCHEDULE,
        "hour 25",
        trigger("recurrence", frequency="day", interval=1, schedule={"hours": [25], "minutes": [0]}),
        "AZ007",
        "hours is 25",
        at="trigger.schedule.hours",
    ),
    M(
        SCHEDULE,
        "day of the month in a week",
        trigger("recurrence", frequency="week", interval=1, schedule={"hours": 1, "minutes": 0, "month_days": 5}),
        "AZ044",
        "month_days has no effect",
        at="trigger.schedule.month_days",
    ),
    M(
        SCHEDULE,
        "interval of 0",
        trigger("recurrence", frequency="day", interval=0),
        "AZ007",
        "1 or more",
        at="trigger.interval",
    ),
    M(SCHEDULE, "unknown time zone", put("trigger.time_zone", "Mars"), "AZ072", "Mars"),
    M(SCHEDULE, "IANA time zone", put("trigger.time_zone", "Europe/Berlin"), "AZ072", "IANA"),
    M(SCHEDULE, "words for a cron", put("trigger.expression", "not a cron"), "AZ044", "3 fields, not 5"),
    M(SCHEDULE, "minute 60", put("trigger.expression", "60 4 * * 1"), "AZ044", "the minute '60'"),
    M(SCHEDULE, "weekday 7", put("trigger.expression", "0 4 * * 7"), "AZ044", "the weekday '7'"),
    M(SCHEDULE, "cron with seconds", put("trigger.expression", "0 0 4 * * 1"), "AZ044", "6 fields, not 5"),
    M(SCHEDULE, "day of the month in a cron", put("trigger.expression", "0 4 1 * *"), "AZ044", "ignores"),
    M(SCHEDULE, "step of 0", put("trigger.expression", "*/0 4 * * *"), "AZ044", "the minute '*/0'"),
    M(SCHEDULE, "falling range", put("trigger.expression", "0 9-4 * * *"), "AZ044", "the hour '9-4'"),
    M(SCHEDULE, "start is not a time", put("trigger.start_time", "soon"), "AZ004", "start_time"),
    M(
        SCHEDULE,
        "end before start",
        trigger("cron", expression="0 4 * * 1", start_time="2030-01-01T00:00:00", end_time="2029-01-01T00:00:00"),
        "AZ044",
        "ends before it starts",
        at="trigger.end_time",
    ),
    M(SCHEDULE, "job missing", put("create_job", "nope.yml"), "AZ008", "nope.yml"),
    # the monitor
    M(
        MONITOR,
        "unknown metric",
        put(f"{SIGNALS}.inputs_drift.metric_thresholds.numerical", {"jensen_shanon": 0.1}),
        "AZ004",
        "jensen_shanon",
        at=f"{SIGNALS}.inputs_drift.metric_thresholds.numerical.jensen_shanon",
    ),
    M(MONITOR, "unknown signal", put(f"{SIGNALS}.inputs_drift.type", "data_drft"), "AZ004", "data_drft"),
    M(
        MONITOR,
        "size without Spark",
        put("create_monitor.compute.instance_type", "standard_ds3_v2"),
        "AZ070",
        "standard_ds3_v2",
    ),
    M(
        MONITOR,
        "old Spark",
        put("create_monitor.compute.runtime_version", "2.0"),
        "AZ004",
        "must be one of: 3.4",
        at="create_monitor.compute",
    ),
    M(MONITOR, "nothing to monitor", drop(WATCHED), "AZ015", "endpoint_deployment_id is missing"),
    M(MONITOR, "invalid deployment", put(WATCHED, "endpoint:blue"), "AZ010", "ENDPOINT:DEPLOYMENT"),
    M(MONITOR, "unknown endpoint", put(WATCHED, "azureml:endpont:blue"), "AZ011", "defines endpont"),
    M(
        MONITOR,
        "threshold above 1",
        put(f"{SIGNALS}.inputs_quality.metric_thresholds.numerical.null_value_rate", 5),
        "AZ007",
        "null_value_rate",
    ),
    M(MONITOR, "unknown time zone", put("trigger.time_zone", "CEST"), "AZ072", "CEST"),
    # any file
    M(TRAIN, "invalid YAML", swap("inputs:", "inputs: [", "inputs.type"), "AZ001", "not valid YAML"),
    M(TRAIN, "tab", swap("  data:", "\tdata:", "\tdata"), "AZ001", "not valid YAML"),
    M(TRAIN, "duplicated field", swap("\nname:", "\nname: a\nname:", "name.name"), "AZ002", "name is duplicated"),
    M(TRAIN, "duplicated section", swap("outputs:", AGAIN, "inputs.inputs"), "AZ002", "inputs is duplicated"),
    M(TRAIN, "no schema", drop("$schema"), "AZ003", "$schema is missing"),
    M(TRAIN, "empty file", Change(lambda file: file.write_text("# nothing\n") and None), "AZ001", "no fields"),
    # project.yml
    M(PROJECT, "duplicated field", swap("\nname:", "\nname: a\nname:", "name.name"), "AZ002", "name is duplicated"),
    M(PROJECT, "unknown size", put("azure.compute.size", "Standard_DS33_v2"), "AZ070", "Standard_DS33_v2"),
    M(PROJECT, "unknown region", put("azure.region", "westeurop"), "AZ073", "Did you mean westeurope"),
    M(
        PROJECT,
        "target of another render",
        put("serving.production", {"target": ABSENT, "port": 5090}),
        "AZ047",
        f"{ABSENT} needs azureml/",
        at="serving.production.target",
    ),
    M(PROJECT, "impossible threshold", put("gate.thresholds.roc_auc", 1.01), "AZ080", "best possible value is 1"),
    M(PROJECT, "no thresholds", Change(no_thresholds, "gate.thresholds"), "AZ081", "however bad it is"),
    M(PROJECT, "no slices", put("gate.slices", []), "AZ082", "judge nothing", at="gate.slice_thresholds"),
    M(PROJECT, "data missing", put("data.path", "data/nope.csv"), "AZ008", "data/nope.csv"),
]


def mistakes() -> list[Mistake]:
    """Return the mistakes in files that this project was rendered with."""
    return [mistake for mistake in ALL if (ROOT / "azureml" / mistake.file).is_file()]


def copy_project(folder: Path) -> Path:
    """Copy the files that the doctor reads."""
    root = folder / "project"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in COPIED_FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    data = load_project(ROOT).data_path
    copied = root / data.relative_to(ROOT)
    copied.parent.mkdir(parents=True, exist_ok=True)
    copied.mkdir() if data.is_dir() else copied.touch()
    return root


def make(mistake: Mistake, folder: Path) -> tuple[Context, list[Document]]:
    """Make a mistake in a copy of the project; return its files, and the one with the mistake."""
    root = copy_project(folder)
    mistake.change.edit(root / "azureml" / mistake.file)
    context = read_context(load_project(root), cli.commands)
    return context, [document for document in context.documents if document.name == mistake.reported_file]


def findings(mistake: Mistake, folder: Path) -> list[Finding]:
    """Return what `mlops doctor` finds in the file with the mistake."""
    found = check_context(*make(mistake, folder))
    return [finding for finding in found if finding.file == mistake.reported_file]


def main() -> None:
    """Print the table."""
    counts = {"Azure ML alone": 0, "doctor alone": 0, "both": 0, "missed": 0}
    print(f"{'mistake':<34}{'file':<26}{'Azure ML':<10}doctor")
    for mistake in mistakes():
        with tempfile.TemporaryDirectory() as folder:
            context, documents = make(mistake, Path(folder))
            sdk = any(True for document in documents for _ in validate_strictly(document))
            rules = bool(check_rules(context))
        found = {(True, True): "both", (True, False): "Azure ML alone", (False, True): "doctor alone"}
        counts[found.get((sdk, rules), "missed")] += 1
        print(f"{mistake.title:<34}{mistake.file:<26}{'yes' if sdk else '-':<10}{'yes' if rules else '-'}")
    print(f"{len(mistakes())} mistakes: {', '.join(f'{n} {name}' for name, n in counts.items())}")


if __name__ == "__main__":
    main()
