"""What the files name: each other, folders and files, sizes, and counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops.azure.doctor.documents import Document, Finding, Place, Site
from mlops.azure.doctor.jobs import is_uploaded, script_problem
from mlops.azure.doctor.sizes import SPARK_SIZES, size_problem

REFERENCE = re.compile(r"azureml:([A-Za-z0-9][\w.-]{0,254})(?:@([\w-]+)|:([\w.-]+))?")
ELSEWHERE = ("azureml://", "/subscriptions/", "azureml:/subscriptions/", "azureml:azureml://")
REMOTE = ("azureml:", "azureml://", "https://", "wasbs://", "abfss://", "adl://")
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
UNITS = {"m": 1e-3, None: 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
UNITS |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
CLUSTER = re.compile(
    r"/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/[\w.()-]+"
    r"/providers/Microsoft\.(ContainerService/managedClusters|Kubernetes/connectedClusters)/[\w-]+"
)
RUNTIMES = ("3.4", "3.5")  # of Spark, on which monitors run
LEVELS = ("debug", "info", "warning")

# What a name may be: kinds, the rule, and the rule in words.
ENDPOINT_NAME = (r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]", "3 to 32 letters, digits and hyphens")
ASSET_NAME = (r"[A-Za-z0-9][\w.-]{0,254}", "letters, digits, '.', '-' and '_'")
NAMES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            "managedOnlineEndpoint",
            "kubernetesOnlineEndpoint",
            "batchEndpoint",
            "managedOnlineDeployment",
            "kubernetesOnlineDeployment",
            "modelBatchDeployment",
        ),
        ENDPOINT_NAME,
    ),
    **dict.fromkeys(("environment", "data", "schedule", "monitorSchedule"), ASSET_NAME),
    "commandComponent": (r"[a-z0-9_][a-z0-9_.-]{0,254}", "lower-case letters, digits and '_'"),
    "amlCompute": (r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]", "3 to 32 letters, digits and hyphens"),
    "kubernetesCompute": (r"[A-Za-z][A-Za-z0-9-]{0,14}[A-Za-z0-9]", "2 to 16 letters and digits"),
}

# Whole numbers: kinds, place, least and most.
COUNTS: tuple[tuple[tuple[str, ...], Place, int, float], ...] = (
    (("managedOnlineDeployment", "kubernetesOnlineDeployment"), ("instance_count",), 1, 1000),
    (("managedOnlineDeployment",), ("request_settings", "request_timeout_ms"), 1, 180_000),
    (("kubernetesOnlineDeployment",), ("request_settings", "request_timeout_ms"), 1, 300_000),
    (
        ("managedOnlineDeployment", "kubernetesOnlineDeployment"),
        ("request_settings", "max_concurrent_requests_per_instance"),
        1,
        1000,
    ),
    (("modelBatchDeployment",), ("resources", "instance_count"), 1, 1000),
    (("modelBatchDeployment",), ("settings", "mini_batch_size"), 1, float("inf")),
    (("modelBatchDeployment",), ("settings", "max_concurrency_per_instance"), 1, 1000),
    (("modelBatchDeployment",), ("settings", "error_threshold"), -1, float("inf")),
    (("modelBatchDeployment",), ("settings", "retry_settings", "max_retries"), 0, 1000),
    (("modelBatchDeployment",), ("settings", "retry_settings", "timeout"), 1, 259_200),
    (("amlCompute",), ("min_instances",), 0, 65_000),
    (("amlCompute",), ("max_instances",), 1, 65_000),
    (("amlCompute",), ("idle_time_before_scale_down",), 1, 604_800),
)


def check_name(document: Document, site: Site) -> Iterator[Finding]:
    """Whether Azure takes the name, and no other file of the kind has it."""
    name = str(document.get("name", default=""))
    pattern, rule = NAMES.get(document.kind, ("", ""))
    if pattern and not re.fullmatch(pattern, name):
        yield document.wrong(
            ("name",), f"{name!r} is no name that Azure takes.", f"Allowed: {rule}."
        )
    if name and site.names(document.kind).count(name) > 1:
        yield document.wrong(("name",), f"Another file of {document.kind} has the name {name}.")


def check_counts(document: Document, site: Site) -> Iterator[Finding]:
    """Whether numbers are whole and within what Azure takes."""
    for kinds, place, low, high in COUNTS:
        value = document.get(*place)
        if document.kind not in kinds or value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            span = f"{low} or more" if high == float("inf") else f"{low} to {high:g}"
            yield document.wrong(place, f"{place[-1]} should be {span}, is {value!r}.")


def check_references(document: Document, site: Site) -> Iterator[Finding]:
    """Whether what is named as ``azureml:NAME`` is there, with a version where it needs one."""
    computes = site.names("amlCompute", "kubernetesCompute")
    known: dict[Place, list[str]] = {
        ("environment",): site.names("environment"),
        ("compute",): computes,
        ("settings", "default_compute"): computes,
    }
    for name in document.section("jobs"):
        known["jobs", name, "compute"] = computes
        known["jobs", name, "environment"] = site.names("environment")
    for name in document.section("inputs"):
        known["inputs", name, "path"] = site.names("data")
    for place, names in known.items():
        value = document.get(*place)
        if not isinstance(value, str) or value.startswith(ELSEWHERE):
            continue
        if value.startswith("azureml:"):
            yield from _check_reference(document, place, value, names)
        elif place[0] == "inputs" and not value.startswith(REMOTE):
            if not document.local(value).exists():
                yield document.wrong(place, f"{value} does not exist.", "Correct the path.")
        elif place[-1] in ("environment", "compute", "default_compute"):
            what = f"{value!r} names nothing in the workspace."
            yield document.wrong(place, what, f"Write azureml:{names[0] if names else 'NAME'}.")


def _check_reference(
    document: Document, place: Place, value: str, names: list[str]
) -> Iterator[Finding]:
    found = REFERENCE.fullmatch(value)
    if not found:
        fix = "Write azureml:NAME:VERSION or azureml:NAME@latest."
        yield document.wrong(place, f"{value!r} is no reference.", fix)
        return
    if found[1] not in names:
        what = f"{value} is described by no file of azureml/."
        yield document.wrong(place, what, f"There are: {', '.join(names) or 'none'}.")
    versioned = bool(found[2] or found[3])
    if place[-1] in ("compute", "default_compute"):
        if versioned:
            yield document.wrong(place, f"{value} has a version, which a compute has not.")
    elif not versioned:
        what = f"{value} names no version."
        yield document.wrong(place, what, f"Write {value}@latest or {value}:VERSION.")


def check_environment(document: Document, site: Site) -> Iterator[Finding]:
    """Whether the files that the image is built from are there, and are uploaded."""
    if not (document.get("image") or document.get("build")):
        yield document.wrong((), "The environment has neither image nor build.", "Add one of them.")
    conda = document.get("conda_file")
    if isinstance(conda, str) and not document.local(conda).is_file():
        yield document.wrong(("conda_file",), f"{conda} does not exist.")
    if not document.get("build"):
        return
    folder = document.local(str(document.get("build", "path", default=".")))
    if not folder.is_dir():
        yield document.wrong(("build", "path"), f"The folder {folder} does not exist.")
        return
    recipe = str(document.get("build", "dockerfile_path", default="Dockerfile"))
    place: Place = ("build", "dockerfile_path")
    if not is_uploaded(folder, Path(recipe)):
        yield document.wrong(place, f"{recipe} is not in what is uploaded of {folder}.")
        return
    for source in _copied(folder / recipe):
        if not is_uploaded(folder, Path(source)):
            what = f"{recipe} copies {source}, which is not in what is uploaded of {folder}."
            yield document.wrong(place, what, "Check the file, and .amlignore.")


def _copied(recipe: Path) -> list[str]:
    """What a Dockerfile copies from its context."""
    lines = recipe.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    copies = [line.split()[1:-1] for line in lines if line.split()[:1] == ["COPY"]]
    return [word for words in copies for word in words if not word.startswith("--")]


def check_data(document: Document, site: Site) -> Iterator[Finding]:
    """Whether the path of a data asset is there, and of its type."""
    path, kind = str(document.get("path", default="")), document.get("type")
    if path.startswith(REMOTE):
        return
    place: Place = ("path",)
    there = document.local(path)
    own = site.project.data.path.as_posix()
    if not path or not there.exists():
        fix = f"data.path of project.yml is {own}."
        yield document.wrong(place, f"{path or 'The path'} does not exist.", fix)
    elif kind in ("uri_file", "uri_folder") and there.is_dir() != (kind == "uri_folder"):
        what = f"{path} is a {'folder' if there.is_dir() else 'file'}, and the type {kind}."
        yield document.wrong(("type",), what)


def check_compute(document: Document, site: Site) -> Iterator[Finding]:
    """A cluster: its size, and its limits."""
    yield from _check_size(document, ("size",))
    low, high = document.get("min_instances", default=0), document.get("max_instances", default=1)
    if isinstance(low, int) and isinstance(high, int) and low > high:
        what = f"min_instances is {low}, more than max_instances, {high}."
        yield document.wrong(("min_instances",), what)


def check_kubernetes_compute(document: Document, site: Site) -> Iterator[Finding]:
    """An attached cluster: its address in Azure, and the namespace."""
    address = str(document.get("resource_id", default=""))
    if not CLUSTER.fullmatch(address):
        fix = "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ContainerService/"
        what = f"{address!r} is no resource id of a cluster."
        yield document.wrong(("resource_id",), what, f"Write {fix}managedClusters/NAME.")
    namespace = str(document.get("namespace", default="default"))
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", namespace):
        what = f"{namespace!r} is no namespace of Kubernetes."
        yield document.wrong(("namespace",), what, "Use lower-case letters, digits and hyphens.")


def check_endpoint(document: Document, site: Site) -> Iterator[Finding]:
    """An endpoint: its traffic, and how it asks who calls."""
    for key, most in (("traffic", 100), ("mirror_traffic", 50)):
        shares = document.section(key)
        right = all(isinstance(share, int) and 0 <= share <= most for share in shares.values())
        total = sum(share for share in shares.values() if isinstance(share, int))
        if shares and (not right or (key == "traffic" and total not in (0, 100)) or total > most):
            what = f"The shares of {key} are {list(shares.values())}, which sum to {total}."
            fix = "They should sum to 100." if key == "traffic" else "At most 50 can be mirrored."
            yield document.wrong((key,), what, fix)
    wanted = "aml_token" if document.kind == "kubernetesOnlineEndpoint" else "aad_token"
    found = document.get("auth_mode")
    if found != wanted:
        what = (
            f"auth_mode is {found}: keys are not used here, and {wanted} is what this kind takes."
        )
        yield document.wrong(("auth_mode",), what, f"Write auth_mode: {wanted}.")


def check_deployment(document: Document, site: Site) -> Iterator[Finding]:
    """A deployment: its model, script, endpoint, and what it runs on."""
    batch = document.kind == "modelBatchDeployment"
    yield from _check_model(document)
    needs = ("init", "run")
    problem = script_problem(document, ("code_configuration", "scoring_script"), needs)
    if problem:
        yield problem
    kinds = ("batchEndpoint",) if batch else ("managedOnlineEndpoint", "kubernetesOnlineEndpoint")
    endpoints, endpoint = site.names(*kinds), document.get("endpoint_name")
    if endpoint not in endpoints:
        what = f"The endpoint {endpoint} is described by no file of azureml/."
        yield document.wrong(("endpoint_name",), what, f"There are: {', '.join(endpoints)}.")
    if batch:
        yield from _check_batch_settings(document)
    elif document.kind == "managedOnlineDeployment":
        yield from _check_size(document, ("instance_type",))
    else:
        yield from _check_kubernetes_resources(document)


def _check_model(document: Document) -> Iterator[Finding]:
    model = document.get("model")
    if model is None:
        yield document.wrong(("model",), "The deployment has no model.", "Add the line model.")
    elif isinstance(model, str) and not model.startswith(ELSEWHERE):
        found = REFERENCE.fullmatch(model)
        if model.startswith("azureml:") and not (found and found[3]):
            what = f"{model} names no version: which model is served has to be certain."
            yield document.wrong(("model",), what, "Write azureml:NAME:VERSION.")
        elif not model.startswith("azureml:") and not document.local(model).exists():
            yield document.wrong(("model",), f"{model} does not exist.")


def _check_batch_settings(document: Document) -> Iterator[Finding]:
    level = document.get("settings", "logging_level", default="info")
    if level not in LEVELS:
        place: Place = ("settings", "logging_level")
        yield document.wrong(place, f"{level} is no level.", f"Levels: {', '.join(LEVELS)}.")
    name = str(document.get("settings", "output_file_name", default="predictions"))
    if not re.fullmatch(r"[\w.-]+", name):
        yield document.wrong(("settings", "output_file_name"), f"{name!r} is no file name.")


def _check_kubernetes_resources(document: Document) -> Iterator[Finding]:
    kind = str(document.get("instance_type", default=""))
    if kind.lower().startswith("standard_"):
        what = f"{kind} is a virtual machine's size, and Kubernetes wants an instance type."
        yield document.wrong(("instance_type",), what, "Write defaultinstancetype, or one's name.")
    for resource in ("cpu", "memory"):
        amounts = {}
        for part in ("requests", "limits"):
            place: Place = ("resources", part, resource)
            value = document.get(*place)
            found = QUANTITY.fullmatch(str(value)) if value is not None else None
            if found and float(found[1]) > 0:
                amounts[part] = float(found[1]) * UNITS[found[2]]
            elif value is not None:
                what = f"{value!r} is no amount of {resource}."
                yield document.wrong(place, what, "Such as 0.5 or 500m for cpu, 2Gi for memory.")
        if amounts.get("requests", 0) > amounts.get("limits", float("inf")):
            what = f"More {resource} is requested than the limit allows."
            yield document.wrong(("resources", "requests", resource), what)


def check_monitor(document: Document, site: Site) -> Iterator[Finding]:
    """A monitor: what it runs on, what it watches, and from where on it alarms."""
    size = str(document.get("create_monitor", "compute", "instance_type", default=""))
    if size.lower() not in SPARK_SIZES:
        what = f"Monitors do not run on {size or 'nothing'}."
        place: Place = ("create_monitor", "compute", "instance_type")
        yield document.wrong(place, what, f"They run on {', '.join(SPARK_SIZES)}.")
    runtime = str(document.get("create_monitor", "compute", "runtime_version", default=""))
    if runtime not in RUNTIMES:
        place = ("create_monitor", "compute", "runtime_version")
        what = f"Monitors do not run on Spark {runtime or 'of no version'}."
        yield document.wrong(place, what, f"They run on {' and '.join(RUNTIMES)}.")
    place = ("create_monitor", "monitoring_target", "endpoint_deployment_id")
    found = re.fullmatch(r"azureml:([\w-]+):([\w-]+)", str(document.get(*place, default="")))
    endpoints = site.names("managedOnlineEndpoint", "kubernetesOnlineEndpoint")
    if not found or found[1] not in endpoints:
        what = f"The monitor watches no deployment: {document.get(*place)}."
        fix = f"Write azureml:ENDPOINT:DEPLOYMENT; endpoints: {', '.join(endpoints)}."
        yield document.wrong(place, what, fix)
    yield from _check_thresholds(document)


def _check_thresholds(document: Document) -> Iterator[Finding]:
    for name, signal in document.section("create_monitor", "monitoring_signals").items():
        thresholds = signal.get("metric_thresholds") if isinstance(signal, dict) else None
        for kind, metrics in (thresholds if isinstance(thresholds, dict) else {}).items():
            for metric, value in (metrics if isinstance(metrics, dict) else {}).items():
                if not isinstance(value, int | float) or not 0 <= value <= 1:
                    signals: Place = ("create_monitor", "monitoring_signals", name)
                    place: Place = (*signals, "metric_thresholds", kind, metric)
                    what = f"The threshold of {metric} should be from 0 to 1, is {value!r}."
                    yield document.wrong(place, what)


def _check_size(document: Document, place: Place) -> Iterator[Finding]:
    size: Any = document.get(*place)
    problem = size_problem(str(size)) if size is not None else ("There is no size.", "Add one.")
    if problem:
        yield document.wrong(place, *problem)
