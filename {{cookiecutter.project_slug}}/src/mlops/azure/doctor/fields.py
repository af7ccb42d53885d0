"""Rules about single fields: names, values, sizes, paths and references."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf
from typing import Any

from mlops.azure.doctor.catalog import SPARK_SIZES, size_problem
from mlops.azure.doctor.documents import Context, Document, FieldPath, Finding

BATCH = "modelBatchDeployment"
MANAGED, KUBERNETES = "managedOnlineDeployment", "kubernetesOnlineDeployment"
ENDPOINTS = ("batchEndpoint", "managedOnlineEndpoint", "kubernetesOnlineEndpoint")
COMPUTES = ("amlCompute", "kubernetesCompute")
QUANTITY = re.compile(r"(?=.*[1-9])(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
RESOURCE_ID = (
    r"/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/[\w.()-]+"
    r"/providers/Microsoft\.(ContainerService/managedClusters|Kubernetes/connectedClusters)/[\w-]+"
)
MONITORED = "create_monitor.monitoring_target.endpoint_deployment_id"

# kind: the pattern of its names, and the pattern in words.
ENDPOINT_NAME = (r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]", "3 to 32 letters, digits and hyphens")
ASSET_NAME = (r"[A-Za-z0-9][\w.-]{0,254}", "letters, digits, '.', '-' and '_'")
NAMES = {
    **dict.fromkeys((*ENDPOINTS, BATCH, MANAGED, KUBERNETES, "amlCompute"), ENDPOINT_NAME),
    **dict.fromkeys(("environment", "data", "schedule", "monitorSchedule"), ASSET_NAME),
    "commandComponent": (r"[a-z0-9_][a-z0-9_.-]{0,254}", "lower-case letters, digits and '_'"),
    "kubernetesCompute": (r"[A-Za-z][A-Za-z0-9-]{0,14}[A-Za-z0-9]", "2 to 16 letters and digits"),
}
REQUIRED = {
    **dict.fromkeys(("environment", "data", "schedule"), ("name",)),
    **dict.fromkeys((BATCH, MANAGED, KUBERNETES), ("model", "code_configuration.scoring_script")),
    "commandComponent": ("name", "code"),
    "monitorSchedule": ("name", MONITORED),
    "amlCompute": ("size",),
    "kubernetesCompute": ("resource_id",),
}
# kind: field: the pattern of its values, and the pattern in words.
PATTERNS = {
    BATCH: {
        "settings.logging_level": ("debug|info|warning", "debug, info or warning"),
        "settings.output_file_name": (r"[\w.-]+", "a file name without a folder"),
    },
    KUBERNETES: {
        "instance_type": (r"(?i)(?!standard_).+", "defaultinstancetype; this is a VM size"),
        "resources.*.cpu": (QUANTITY.pattern, "an amount such as 0.5 or 500m"),
        "resources.*.memory": (QUANTITY.pattern, "an amount such as 2Gi"),
    },
    "kubernetesCompute": {
        "resource_id": (RESOURCE_ID, "the resource ID of an AKS or Arc cluster"),
        "namespace": (
            r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
            "lower-case letters, digits and hyphens",
        ),
    },
}
# kind: field: the least and the greatest number; whole ones, unless the limits are floats.
ONLINE = {
    "instance_count": (1, 1000),
    "request_settings.max_concurrent_requests_per_instance": (1, 1000),
}
TRIGGER: dict[str, tuple[float, float]] = {
    "trigger.interval": (1, inf),
    "trigger.schedule.hours": (0, 23),
    "trigger.schedule.minutes": (0, 59),
    "trigger.schedule.month_days": (1, 31),
}
THRESHOLDS = "create_monitor.monitoring_signals.*.metric_thresholds.*.*"
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    MANAGED: {**ONLINE, "request_settings.request_timeout_ms": (1, 180_000)},
    KUBERNETES: {**ONLINE, "request_settings.request_timeout_ms": (1, 300_000)},
    BATCH: {
        "resources.instance_count": (1, 1000),
        "settings.mini_batch_size": (1, inf),
        "settings.max_concurrency_per_instance": (1, 1000),
        "settings.error_threshold": (-1, inf),
        "settings.retry_settings.max_retries": (0, 1000),
        "settings.retry_settings.timeout": (1, 259_200),
    },
    "amlCompute": {
        "min_instances": (0, 65_000),
        "max_instances": (1, 65_000),
        "idle_time_before_scale_down": (1, 604_800),
    },
    "pipelineJob": {"jobs.*.limits.*": (1, inf)},
    "schedule": TRIGGER,
    "monitorSchedule": {**TRIGGER, THRESHOLDS: (0.0, 1.0)},
}
# Fields with a path relative to their file, and fields with a reference to a kind of asset.
PATHS = (
    "code",
    "code_configuration.code",
    "conda_file",
    "build.path",
    "path",
    "model",
    "inputs.*.path",
    "jobs.*.component",
    "jobs.*.trial",
    "create_job",
)
REFERENCES = {
    "environment": ("environment",),
    "jobs.*.environment": ("environment",),
    "compute": COMPUTES,
    "jobs.*.compute": COMPUTES,
    "settings.default_compute": COMPUTES,
    "inputs.*.path": ("data",),
}
REFERENCE = re.compile(r"azureml:([A-Za-z0-9][\w.-]{0,254})(?:@([\w-]+)|:([\w.-]+))?")
FULL_IDS = ("azureml://", "/subscriptions/", "azureml:/subscriptions/", "azureml:azureml://")
REMOTE = ("azureml:", "/subscriptions/", "https://", "wasbs://", "abfss://", "adl://")


def check_name(document: Document, context: Context) -> Iterator[Finding]:
    """Check that the name is valid, and unique among files of its kind."""
    name = str(document.get("name", default=""))
    pattern, allowed = NAMES.get(document.kind, (".*", ""))
    if name and not re.fullmatch(pattern, name):
        message = f"{name!r} is not a valid name."
        yield document.finding("AZ005", ("name",), message, f"Use {allowed}.")
    if context.names(document.kind).count(name) > 1:
        message = f"Another {document.kind} file also has the name {name}."
        yield document.finding("AZ006", ("name",), message, "Rename one of them.")


def check_required(document: Document, context: Context) -> Iterator[Finding]:
    """Check that fields exist which Azure ML's own validation does not require."""
    for field in REQUIRED.get(document.kind, ()):
        if not document.match(field):
            path = tuple(field.split("."))
            yield document.finding("AZ015", path, f"The field {field} is missing.", "Add it.")


def check_values(document: Document, context: Context) -> Iterator[Finding]:
    """Check that values match their pattern, and numbers their range."""
    for field, (pattern, allowed) in PATTERNS.get(document.kind, {}).items():
        for path, value in document.match(field):
            if not re.fullmatch(pattern, str(value)):
                message = f"{value!r} is not a valid {path[-1]}."
                yield document.finding("AZ007", path, message, f"Use {allowed}.")
    for field, (low, high) in RANGES.get(document.kind, {}).items():
        types = int | float if isinstance(low, float) else int
        span = f"{low} or more" if high == inf else f"{low:g} to {high:g}"
        for path, value in document.match(field):
            for number in value if isinstance(value, list) else [value]:
                valid = isinstance(number, types) and not isinstance(number, bool)
                if not valid or not low <= number <= high:
                    message = f"{path[-1]} is {number!r}."
                    yield document.finding("AZ007", path, message, f"Use {span}.")


def check_sizes(document: Document, context: Context) -> Iterator[Finding]:
    """Warn about unknown sizes of machines."""
    for path, size in document.match("instance_type" if document.kind == MANAGED else "size"):
        if problem := size_problem(str(size)):
            yield document.finding("AZ070", path, *problem)
    for path, size in document.match("create_monitor.compute.instance_type"):
        if str(size).lower() not in SPARK_SIZES:
            message = f"{size} is not a known size for monitors."
            yield document.finding("AZ071", path, message, f"Use one of {', '.join(SPARK_SIZES)}.")


def check_paths(document: Document, context: Context) -> Iterator[Finding]:
    """Check that local paths exist."""
    for field in PATHS:
        for path, value in document.match(field):
            local = isinstance(value, str) and not value.startswith(REMOTE)
            if local and not document.local(value).exists():
                fix = f"Correct the path; it is relative to {document.name}."
                yield document.finding("AZ008", path, f"{value} does not exist.", fix)


def check_references(document: Document, context: Context) -> Iterator[Finding]:
    """Check that ``azureml:NAME`` refers to a file of azureml/, with a version where needed."""
    for field, kinds in REFERENCES.items():
        for path, value in document.match(field):
            local = field == "inputs.*.path" and not str(value).startswith("azureml:")
            if isinstance(value, str) and not local and not value.startswith(FULL_IDS):
                yield from _check_reference(document, path, value, context.names(*kinds), kinds)


def _check_reference(
    document: Document, path: FieldPath, value: str, names: list[str], kinds: tuple[str, ...]
) -> Iterator[Finding]:
    found = REFERENCE.fullmatch(value)
    versioned = bool(found and (found[2] or found[3]))
    form = "azureml:NAME" if kinds == COMPUTES else "azureml:NAME@latest or azureml:NAME:VERSION"
    if not found:
        yield document.finding(
            "AZ010", path, f"{value!r} is not a valid reference.", f"Use {form}."
        )
        return
    if found[1] not in names:
        yield undefined(document, path, found[1], names)
    if kinds == COMPUTES and versioned:
        message = f"{value} has a version; computes have none."
        yield document.finding("AZ010", path, message, f"Use azureml:{found[1]}.")
    elif kinds != COMPUTES and not versioned:
        fix = f"Use {value}@latest or {value}:VERSION."
        yield document.finding("AZ013", path, f"{value} has no version.", fix)


def undefined(document: Document, path: FieldPath, name: Any, names: list[str]) -> Finding:
    """Return the finding about a name that no file of azureml/ defines."""
    message = f"No file of azureml/ defines {name}."
    return document.finding("AZ011", path, message, f"Use one of: {', '.join(names) or 'none'}.")
