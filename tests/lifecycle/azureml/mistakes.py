"""Mistakes that people make in azureml/, each made in a copy of this project.

``python mistakes.py`` prints which of them Azure ML's own validation finds, and which
the rules of `mlops doctor`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlops
import yaml
from mlops.azure.doctor import Finding, check_rules, read_site
from mlops.azure.doctor.documents import Document
from mlops.azure.doctor.strict import validate_strictly
from mlops.config import load_project

ROOT = Path(mlops.__file__).resolve().parents[2]  # the render under test
COPIED = ("azureml", "expectations", "src")
COPIED_FILES = (".amlignore", "project.yml", "requirements.txt", "docs/model-card.md")
Change = Callable[[Path], None]


@dataclass(frozen=True)
class Mistake:
    """A mistake, the file of azureml/ that it is made in, and words that a finding has to say."""

    title: str
    file: str
    change: Change
    says: str


@dataclass(frozen=True)
class Caught:
    """What our rules find of a mistake, and the documents of its file."""

    rules: list[Finding]
    documents: list[Document]

    def by_sdk(self) -> list[Finding]:
        """What Azure ML's own validation finds, which takes its time."""
        return [finding for document in self.documents for finding in validate_strictly(document)]


def put(place: str, value: Any) -> Change:
    """Set a field; its place is written with dots."""

    def change(file: Path) -> None:
        content = yaml.safe_load(file.read_text("utf-8"))
        *sections, field = place.split(".")
        section = content
        for name in sections:
            section = section.setdefault(name, {})
        section[field] = value
        file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")

    return change


def drop(place: str) -> Change:
    """Remove a field."""

    def change(file: Path) -> None:
        content = yaml.safe_load(file.read_text("utf-8"))
        *sections, field = place.split(".")
        section = content
        for name in sections:
            section = section[name]
        del section[field]
        file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")

    return change


def misspell(place: str, name: str) -> Change:
    """Rename a field."""

    def change(file: Path) -> None:
        content = yaml.safe_load(file.read_text("utf-8"))
        *sections, field = place.split(".")
        section = content
        for part in sections:
            section = section[part]
        section[name] = section.pop(field)
        file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")

    return change


def swap(old: str, new: str) -> Change:
    """Write something else in a text."""

    def change(file: Path) -> None:
        text = file.read_text("utf-8")
        assert old in text, f"{file.name} holds no {old}"
        file.write_text(text.replace(old, new, 1), "utf-8")

    return change


def elsewhere(path: str, change: Change) -> Change:
    """Make the change in another file of the project, named from the file of the mistake."""
    return lambda file: change(file.parent / path)


def delete(file: Path) -> None:
    file.unlink()


def absent_target() -> str:
    """A target that this project was rendered without."""
    return "kubernetes" if (ROOT / "azureml" / "managed").is_dir() else "managed"


PIPELINE, TRAIN = "pipeline.yml", "components/train.yml"
SEARCH, SWEEP = "components/search.yml", "search-pipeline.yml"
EVALUATE = "components/evaluate.yml"
MANAGED, ENDPOINT = "managed/deployment.yml", "managed/endpoint.yml"
K8S, K8S_ENDPOINT, K8S_COMPUTE = (f"kubernetes/{name}.yml" for name in ("deployment", "endpoint", "compute"))
BATCH, BATCH_ENDPOINT = "batch/deployment.yml", "batch/endpoint.yml"
MONITOR, SCHEDULE = "monitoring.yml", "schedule.yml"
SIGNALS = "create_monitor.monitoring_signals"
EARLIER = "${{parent.jobs.validate.outputs.results}}"

ALL = [
    # pipelines
    Mistake("unknown field", PIPELINE, misspell("experiment_name", "experiment_nam"), "experiment_nam"),
    Mistake(
        "unknown setting",
        PIPELINE,
        misspell("settings.continue_on_step_failure", "continue_on_failure"),
        "continue_on_failure",
    ),
    Mistake("unknown field of a step", PIPELINE, put("jobs.train.computer", "x"), "computer"),
    Mistake(
        "component's file missing",
        PIPELINE,
        put("jobs.train.component", "components/nope.yml"),
        "nope.yml",
    ),
    Mistake("component's file deleted", PIPELINE, elsewhere("components/train.yml", delete), "train.yml"),
    Mistake(
        "input that the component lacks",
        PIPELINE,
        misspell("jobs.train.inputs.earlier", "earlyer"),
        "earlyer",
    ),
    Mistake("needed input not given", PIPELINE, drop("jobs.train.inputs.earlier"), "earlier"),
    Mistake(
        "output of a job that is not there",
        PIPELINE,
        put("jobs.train.inputs.earlier", EARLIER.replace("validate", "validat")),
        "validat",
    ),
    Mistake(
        "output that the job lacks",
        PIPELINE,
        put("jobs.train.inputs.earlier", EARLIER.replace("results", "result")),
        "result",
    ),
    Mistake(
        "input instead of output of a job",
        PIPELINE,
        put("jobs.train.inputs.earlier", "${{parent.jobs.validate.inputs.data}}"),
        "validate",
    ),
    Mistake(
        "input that the pipeline lacks",
        PIPELINE,
        put("jobs.train.inputs.data", "${{parent.inputs.rows}}"),
        "rows",
    ),
    Mistake(
        "output that the pipeline lacks",
        PIPELINE,
        put("jobs.report.outputs.results", "${{parent.outputs.everything}}"),
        "everything",
    ),
    Mistake(
        "output that the component lacks",
        PIPELINE,
        misspell("jobs.report.outputs.results", "result"),
        "result",
    ),
    Mistake(
        "steps that wait for each other",
        PIPELINE,
        put("jobs.train.inputs.earlier", EARLIER.replace("validate", "evaluate")),
        "wait for each other",
    ),
    Mistake(
        "a step that waits for itself",
        PIPELINE,
        put("jobs.train.inputs.earlier", EARLIER.replace("validate", "train")),
        "wait for each other",
    ),
    Mistake(
        "folder for a file",
        PIPELINE,
        put("jobs.train.inputs.data", EARLIER),
        "wants uri_file, and gets uri_folder",
    ),
    Mistake(
        "pipeline's data of another type",
        PIPELINE,
        put("inputs.data.type", "mltable"),
        "wants uri_file, and gets mltable",
    ),
    Mistake(
        "folder for a number",
        SWEEP,
        put("jobs.search.inputs.candidate", "${{parent.inputs.data}}"),
        "wants integer, and gets uri_file",
    ),
    Mistake("text for a number", SWEEP, put("jobs.search.inputs.candidate", "first"), "candidate"),
    Mistake("number out of range", SWEEP, put("jobs.search.inputs.candidate", -1), "candidate"),
    Mistake(
        "binding that is none",
        PIPELINE,
        put("jobs.train.inputs.earlier", "${{jobs.validate.outputs.results}}"),
        "jobs.validate.outputs.results",
    ),
    Mistake("no compute anywhere", PIPELINE, drop("settings.default_compute"), "compute"),
    Mistake(
        "compute that is not there",
        PIPELINE,
        put("settings.default_compute", "azureml:ghost"),
        "azureml:ghost",
    ),
    Mistake(
        "compute with a version",
        PIPELINE,
        put("jobs.train.compute", "azureml:cpu-cluster:1"),
        "version",
    ),
    Mistake("compute without azureml:", PIPELINE, put("jobs.train.compute", "cpu"), "'cpu'"),
    Mistake(
        "reference that is none",
        PIPELINE,
        put("inputs.data.path", "azureml:data@@latest"),
        "azureml:data@@latest",
    ),
    Mistake(
        "data that is not there",
        PIPELINE,
        put("inputs.data.path", "azureml:date@latest"),
        "azureml:date",
    ),
    Mistake("data without version", PIPELINE, put("inputs.data.path", "azureml:data"), "no version"),
    Mistake("local path that is not there", PIPELINE, put("inputs.data.path", "../nodata"), "nodata"),
    Mistake("input that no step uses", PIPELINE, put("inputs.more", {"type": "uri_folder"}), "more"),
    Mistake("output that no step fills", PIPELINE, drop("jobs.report.outputs"), "output results"),
    # the sweep
    Mistake(
        "search for an input that is not there",
        SWEEP,
        misspell("jobs.search.search_space.candidate", "candidat"),
        "candidat",
    ),
    Mistake(
        "metric that is never logged",
        SWEEP,
        put("jobs.search.objective.primary_metric", "accuracy"),
        "accuracy",
    ),
    Mistake("worst instead of best", SWEEP, put("jobs.search.objective.goal", "minimize"), "maximize"),
    Mistake("no trials", SWEEP, put("jobs.search.limits.max_total_trials", 0), "max_total_trials"),
    Mistake(
        "more trials at once than in all",
        SWEEP,
        put("jobs.search.limits.max_concurrent_trials", 99),
        "99 trials at once",
    ),
    Mistake("unknown way of sampling", SWEEP, put("jobs.search.sampling_algorithm", "guess"), "guess"),
    # components
    Mistake("code folder missing", TRAIN, put("code", "../../nope"), "nope"),
    Mistake("verb that is none", TRAIN, swap("python -m mlops train", "python -m mlops trian"), "trian"),
    Mistake("option that the verb lacks", TRAIN, swap("train --data", "train --dat"), "--dat"),
    Mistake(
        "option that the verb needs",
        SEARCH,
        swap("--candidate ${{inputs.candidate}}", ""),
        "candidate",
    ),
    Mistake("word that the verb has no use for", TRAIN, swap("mlops train", "mlops train now"), "now"),
    Mistake("script missing", TRAIN, swap("python -m mlops train", "python src/nope.py"), "src/nope.py"),
    Mistake("module missing", TRAIN, swap("-m mlops train", "-m nope.train"), "nope.train"),
    Mistake(
        "script that is not uploaded",
        TRAIN,
        swap("python -m mlops train", "python mistakes.py"),
        "mistakes.py",
    ),
    Mistake("quote that is not closed", TRAIN, swap("--data ", "--data '"), "quot"),
    Mistake("undeclared input", TRAIN, swap("inputs.data}}", "inputs.rows}}"), "inputs.rows"),
    Mistake("undeclared output", TRAIN, swap("outputs.results}}", "outputs.result}}"), "outputs.result"),
    Mistake("input that is not used", TRAIN, swap("--data ${{inputs.data}}", ""), "inputs.data"),
    Mistake(
        "output that is not used",
        TRAIN,
        put("outputs.more", {"type": "uri_folder"}),
        "outputs.more",
    ),
    Mistake(
        "optional input that is always used",
        EVALUATE,
        put("command", "python -m mlops evaluate ${{inputs.replace}}"),
        "replace is optional",
    ),
    Mistake("no environment", TRAIN, drop("environment"), "environment"),
    Mistake("environment missing", TRAIN, put("environment", "azureml:mlop@latest"), "azureml:mlop@"),
    Mistake("environment without version", TRAIN, put("environment", "azureml:mlops"), "no version"),
    Mistake("unknown type", TRAIN, put("inputs.data.type", "uri_fold"), "uri_fold"),
    Mistake("name that is none", TRAIN, put("name", "Train it!"), "Train it!"),
    Mistake("name twice", TRAIN, put("name", "validate"), "validate"),
    Mistake("default out of range", SEARCH, put("inputs.candidate.default", -5), "default"),
    Mistake("default of another type", SEARCH, put("inputs.candidate.default", "first"), "default"),
    Mistake("no command", TRAIN, drop("command"), "command"),
    # the environment
    Mistake("conda file missing", "environment.yml", put("conda_file", "nope.yml"), "nope.yml"),
    Mistake("no image", "environment.yml", drop("build"), "neither image nor build"),
    Mistake("image and build", "environment.yml", put("image", "python:3.11"), "image"),
    Mistake("build folder missing", "environment.yml", put("build.path", "../nope"), "nope"),
    Mistake(
        "Dockerfile missing",
        "environment.yml",
        put("build.dockerfile_path", "azureml/Dockerfil"),
        "azureml/Dockerfil",
    ),
    Mistake(
        "Dockerfile copies what is not there",
        "environment.yml",
        elsewhere("Dockerfile", swap("COPY requirements.txt", "COPY requirements.in")),
        "requirements.in",
    ),
    Mistake(
        "Dockerfile copies what is not uploaded",
        "environment.yml",
        elsewhere("../.amlignore", swap("!/requirements.txt\n", "")),
        "requirements.txt",
    ),
    # data and computes
    Mistake("data missing", "data.yml", put("path", "../nodata"), "nodata"),
    Mistake("unknown type of data", "data.yml", put("type", "uri_dir"), "Must be one of: uri_file"),
    Mistake("file called a folder", "data.yml", put("type", "uri_folder"), "uri_folder"),
    Mistake("folder called a file", "data.yml", put("path", ".."), "is a folder"),
    Mistake("unknown size", "compute.yml", put("size", "Standard_FAKE"), "Standard_FAKE"),
    Mistake(
        "size with a slip",
        "compute.yml",
        put("size", "Standard_DS3v2"),
        "Did you mean Standard_DS3_v2",
    ),
    Mistake("least above most", "compute.yml", put("min_instances", 9), "min_instances"),
    Mistake("no nodes", "compute.yml", put("max_instances", 0), "max_instances"),
    Mistake("unknown tier", "compute.yml", put("tier", "spot"), "spot"),
    Mistake("unknown limit", "compute.yml", misspell("max_instances", "max_nodes"), "max_nodes"),
    Mistake("no idle time", "compute.yml", put("idle_time_before_scale_down", 0), "idle_time"),
    Mistake("compute's name", "compute.yml", put("name", "cpu_cluster"), "cpu_cluster"),
    # managed endpoints
    Mistake("unknown way to authenticate", ENDPOINT, put("auth_mode", "token"), "auth_mode"),
    Mistake("keys", ENDPOINT, put("auth_mode", "key"), "keys are not used"),
    Mistake("traffic of 110 %", ENDPOINT, put("traffic", {"blue": 100, "green": 10}), "sum to 110"),
    Mistake("traffic below 0", ENDPOINT, put("traffic", {"blue": 110, "green": -10}), "-10"),
    Mistake("too much mirrored", ENDPOINT, put("mirror_traffic", {"green": 60}), "mirror_traffic"),
    Mistake("endpoint's name", ENDPOINT, put("name", "under_score"), "under_score"),
    Mistake("endpoint's name too long", ENDPOINT, put("name", "x" * 33), "x" * 33),
    Mistake("unknown field of an endpoint", ENDPOINT, misspell("auth_mode", "authmode"), "authmode"),
    Mistake(
        "unknown field of a deployment",
        MANAGED,
        misspell("instance_count", "instances"),
        "instances",
    ),
    Mistake("unknown size to serve on", MANAGED, put("instance_type", "Standard_FAKE"), "Standard_FAKE"),
    Mistake(
        "Kubernetes' type to serve on",
        MANAGED,
        put("instance_type", "defaultinstancetype"),
        "defaultinstancetype",
    ),
    Mistake("no instances", MANAGED, put("instance_count", 0), "instance_count"),
    Mistake("no model", MANAGED, drop("model"), "no model"),
    Mistake("model without version", MANAGED, put("model", "azureml:model"), "azureml:model"),
    Mistake("latest model", MANAGED, put("model", "azureml:model@latest"), "which model is served"),
    Mistake("model's path missing", MANAGED, put("model", "./nomodel"), "nomodel"),
    Mistake("deployment's name", MANAGED, put("name", "Blue_1!"), "Blue_1!"),
    Mistake("no endpoint", MANAGED, drop("endpoint_name"), "endpoint"),
    Mistake("endpoint that is not there", MANAGED, put("endpoint_name", "endpont"), "endpont"),
    Mistake(
        "no time to answer",
        MANAGED,
        put("request_settings.request_timeout_ms", 0),
        "request_timeout_ms",
    ),
    Mistake(
        "too much time to answer",
        MANAGED,
        put("request_settings.request_timeout_ms", 600_000),
        "request_timeout_ms",
    ),
    Mistake(
        "scoring script missing",
        MANAGED,
        put("code_configuration.scoring_script", "mlops/serving/scor.py"),
        "scor.py",
    ),
    Mistake(
        "scoring script without run",
        MANAGED,
        put("code_configuration.scoring_script", "mlops/release/smoke.py"),
        "lacks the functions init, run",
    ),
    Mistake(
        "scoring script that is no Python",
        MANAGED,
        elsewhere("../../src/mlops/serving/score.py", swap("def init()", "def init(")),
        "is no Python",
    ),
    Mistake("scoring code missing", MANAGED, put("code_configuration.code", "../../scr"), "scr"),
    # Kubernetes
    Mistake(
        "script missing on Kubernetes",
        K8S,
        put("code_configuration.scoring_script", "nope.py"),
        "nope.py",
    ),
    Mistake("amount of cpu", K8S, put("resources.requests.cpu", "lots"), "lots"),
    Mistake("amount of memory", K8S, put("resources.limits.memory", "2GB"), "2GB"),
    Mistake("more than the limit", K8S, put("resources.requests.memory", "8Gi"), "limit"),
    Mistake("a machine's size", K8S, put("instance_type", "Standard_DS3_v2"), "Standard_DS3_v2"),
    Mistake("Entra on Kubernetes", K8S_ENDPOINT, put("auth_mode", "aad_token"), "aml_token"),
    Mistake("cluster missing", K8S_ENDPOINT, put("compute", "azureml:aks1"), "azureml:aks1"),
    Mistake("namespace's name", K8S_COMPUTE, put("namespace", "Azure_ML"), "Azure_ML"),
    Mistake("cluster's address", K8S_COMPUTE, put("resource_id", "aks-credit-production"), "resource id"),
    # batch
    Mistake("unknown output", BATCH, put("settings.output_action", "append_rows"), "append_rows"),
    Mistake("no cluster", BATCH, drop("compute"), "compute"),
    Mistake(
        "unknown batch setting",
        BATCH,
        misspell("settings.mini_batch_size", "mini_batch"),
        "mini_batch",
    ),
    Mistake("mini-batches of nothing", BATCH, put("settings.mini_batch_size", 0), "mini_batch_size"),
    Mistake("no process", BATCH, put("settings.max_concurrency_per_instance", 0), "max_concurrency"),
    Mistake("no time", BATCH, put("settings.retry_settings.timeout", 0), "timeout"),
    Mistake("no nodes to score on", BATCH, put("resources.instance_count", 0), "instance_count"),
    Mistake("errors below none", BATCH, put("settings.error_threshold", -2), "error_threshold"),
    Mistake("unknown level", BATCH, put("settings.logging_level", "loud"), "loud"),
    Mistake("file name", BATCH, put("settings.output_file_name", "a/b.csv"), "a/b.csv"),
    Mistake("online endpoint for a batch", BATCH, put("endpoint_name", "endpoint"), "endpoint"),
    Mistake("keys for a batch", BATCH_ENDPOINT, put("auth_mode", "key"), "key"),
    # schedules
    Mistake(
        "unknown frequency",
        SCHEDULE,
        put("trigger", {"type": "recurrence", "frequency": "daily", "interval": 1}),
        "daily",
    ),
    Mistake(
        "hour 25",
        SCHEDULE,
        put(
            "trigger",
            {
                "type": "recurrence",
                "frequency": "day",
                "interval": 1,
                "schedule": {"hours": [25], "minutes": [0]},
            },
        ),
        "25",
    ),
    Mistake(
        "day of the month in a week",
        SCHEDULE,
        put(
            "trigger",
            {
                "type": "recurrence",
                "frequency": "week",
                "interval": 1,
                "schedule": {"hours": 1, "minutes": 0, "month_days": 5},
            },
        ),
        "month_days",
    ),
    Mistake(
        "interval of 0",
        SCHEDULE,
        put("trigger", {"type": "recurrence", "frequency": "day", "interval": 0}),
        "interval",
    ),
    Mistake("unknown time zone", SCHEDULE, put("trigger.time_zone", "Mars"), "Mars"),
    Mistake("IANA's time zone", SCHEDULE, put("trigger.time_zone", "Europe/Berlin"), "IANA"),
    Mistake("no cron", SCHEDULE, put("trigger.expression", "not a cron"), "not a cron"),
    Mistake("minute 60", SCHEDULE, put("trigger.expression", "60 4 * * 1"), "60"),
    Mistake("weekday 7", SCHEDULE, put("trigger.expression", "0 4 * * 7"), "weekday"),
    Mistake("cron with seconds", SCHEDULE, put("trigger.expression", "0 0 4 * * 1"), "6 fields"),
    Mistake("day of the month in a cron", SCHEDULE, put("trigger.expression", "0 4 1 * *"), "ignores"),
    Mistake("step of 0", SCHEDULE, put("trigger.expression", "*/0 4 * * *"), "minute"),
    Mistake("falling range", SCHEDULE, put("trigger.expression", "0 9-4 * * *"), "hour"),
    Mistake("start that is no time", SCHEDULE, put("trigger.start_time", "soon"), "start_time"),
    Mistake(
        "end before start",
        SCHEDULE,
        put(
            "trigger",
            {
                "type": "cron",
                "expression": "0 4 * * 1",
                "start_time": "2030-01-01T00:00:00",
                "end_time": "2029-01-01T00:00:00",
            },
        ),
        "ends before it starts",
    ),
    Mistake("scheduled job missing", SCHEDULE, put("create_job", "nope.yml"), "nope.yml"),
    # the monitor
    Mistake(
        "unknown metric",
        MONITOR,
        put(f"{SIGNALS}.inputs_drift.metric_thresholds.numerical", {"jensen_shanon": 0.1}),
        "jensen_shanon",
    ),
    Mistake("unknown signal", MONITOR, put(f"{SIGNALS}.inputs_drift.type", "data_drft"), "data_drft"),
    Mistake(
        "size that Spark lacks",
        MONITOR,
        put("create_monitor.compute.instance_type", "standard_ds3_v2"),
        "standard_ds3_v2",
    ),
    Mistake("old Spark", MONITOR, put("create_monitor.compute.runtime_version", "2.0"), "2.0"),
    Mistake(
        "nothing to watch",
        MONITOR,
        drop("create_monitor.monitoring_target.endpoint_deployment_id"),
        "watches no deployment",
    ),
    Mistake(
        "endpoint to watch missing",
        MONITOR,
        put(
            "create_monitor.monitoring_target.endpoint_deployment_id",
            "azureml:endpont:blue",
        ),
        "endpont",
    ),
    Mistake(
        "threshold above 1",
        MONITOR,
        put(f"{SIGNALS}.inputs_quality.metric_thresholds.numerical.null_value_rate", 5),
        "null_value_rate",
    ),
    Mistake("monitor's time zone", MONITOR, put("trigger.time_zone", "CEST"), "CEST"),
    # any file
    Mistake("no YAML", TRAIN, swap("inputs:", "inputs: ["), "no valid YAML"),
    Mistake("tab", TRAIN, swap("  data:", "\tdata:"), "no valid YAML"),
    Mistake("field twice", TRAIN, swap("type: command", "type: command\ntype: command"), "twice"),
    Mistake("no schema", TRAIN, drop("$schema"), "$schema"),
    Mistake("empty file", TRAIN, lambda file: file.write_text("# nothing\n") and None, "no fields"),
    # project.yml
    Mistake(
        "project's size of nodes",
        "compute.yml",
        elsewhere("../project.yml", put("azure.compute.size", "Standard_DS33_v2")),
        "Standard_DS33_v2",
    ),
    Mistake(
        "target whose files are not there",
        "compute.yml",
        elsewhere("../project.yml", put("serving.production", {"target": absent_target(), "port": 5090})),
        "needs azureml/",
    ),
    Mistake(
        "project's data missing",
        "compute.yml",
        elsewhere("../project.yml", put("data.path", "data/nope.csv")),
        "data/nope.csv",
    ),
]


def mistakes() -> list[Mistake]:
    """Those that can be made in this project: its options chose which files it has."""
    return [mistake for mistake in ALL if (ROOT / "azureml" / mistake.file).is_file()]


def copy_project(folder: Path) -> Path:
    """Copy what the checks look at."""
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


def make(mistake: Mistake, folder: Path) -> Caught:
    """Make a mistake in a copy of the project, and look what finds it."""
    root = copy_project(folder)
    file = root / "azureml" / mistake.file
    mistake.change(file)
    site, unread = read_site(load_project(root))
    documents = [document for document in site.documents if document.path == file.resolve()]
    return Caught([*unread, *check_rules(site)], documents)


def main() -> None:
    """Print the table."""
    counts = {"Azure ML alone": 0, "doctor alone": 0, "both": 0, "missed": 0}
    print(f"{'mistake':<42}{'file':<26}{'Azure ML':<10}{'doctor':<8}")
    for mistake in mistakes():
        with tempfile.TemporaryDirectory() as folder:
            caught = make(mistake, Path(folder))
            sdk, rules = bool(caught.by_sdk()), bool(caught.rules)
        marks = ("yes" if sdk else "-", "yes" if rules else "-")
        missed = "" if sdk or rules else "MISSED"
        print(f"{mistake.title:<42}{mistake.file:<26}{marks[0]:<10}{marks[1]:<8}{missed}")
        key = "both" if sdk and rules else "Azure ML alone" if sdk else "doctor alone"
        counts["missed" if missed else key] += 1
    print(f"{len(mistakes())} mistakes: {', '.join(f'{v} {k}' for k, v in counts.items())}")


if __name__ == "__main__":
    main()
