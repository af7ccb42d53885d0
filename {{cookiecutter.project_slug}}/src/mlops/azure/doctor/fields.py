"""Rules about single fields: names, values, sizes, paths and references."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from mlops.azure.doctor.documents import Context, Document, FieldPath, Finding, nearest

BATCH = "pipelineComponentBatchDeployment"
MANAGED, KUBERNETES = "managedOnlineDeployment", "kubernetesOnlineDeployment"
COMPUTES = ("amlCompute", "kubernetesCompute")
ONLINE_ENDPOINTS = ("managedOnlineEndpoint", "kubernetesOnlineEndpoint")
MONITORED = "create_monitor.monitoring_target.endpoint_deployment_id"


@dataclass(frozen=True)
class Range:
    """Numbers from one to another; whole ones, unless the lowest is a float."""

    low: float
    high: float = inf

    def allows(self, value: Any) -> bool:
        number = isinstance(value, int | type(self.low)) and not isinstance(value, bool)
        return number and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low} or more" if self.high == inf else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Pattern:
    """Text that matches a regular expression, and what that means in words."""

    expression: str
    words: str

    def allows(self, value: Any) -> bool:
        return bool(re.fullmatch(self.expression, str(value)))

    def __str__(self) -> str:
        return self.words


QUANTITY = re.compile(r"(?=.*[1-9])(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
UNITS = {"m": 1e-3, None: 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
UNITS |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
ASSET_NAME = Pattern(r"[A-Za-z0-9][\w.-]{0,254}", "letters, digits, '.', '-' and '_'")
SHORT_NAME = Pattern(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]", "3 to 32 letters, digits and '-'")
CLUSTER_NAME = Pattern(r"[A-Za-z][A-Za-z0-9-]{0,14}[A-Za-z0-9]", "2 to 16 letters, digits and '-'")
COMPONENT_NAME = Pattern(r"[a-z][a-z0-9_]{0,254}", "lower-case letters, digits and '_'")
ENTRA = Pattern("aad_token", "aad_token; endpoints take tokens, never keys")
AML_TOKEN = Pattern("aml_token", "aml_token; endpoints take tokens, never keys")
INSTANCE_TYPE = Pattern(r"(?i)(?!standard_).+", "defaultinstancetype; this is a VM size")
CLUSTER = Pattern(
    r"/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/[\w.()-]+"
    r"/providers/Microsoft\.(ContainerService/managedClusters|Kubernetes/connectedClusters)/[\w-]+",
    "the resource ID of an AKS or Arc cluster",
)
# A field, the values that Azure allows in it, and the kinds of files this is about if not all.
VALUES: tuple[tuple[str, Range | Pattern, *tuple[str, ...]], ...] = (
    ("auth_mode", ENTRA, "batchEndpoint", "managedOnlineEndpoint"),
    ("auth_mode", AML_TOKEN, "kubernetesOnlineEndpoint"),
    ("create_monitor.monitoring_signals.*.metric_thresholds.*.*", Range(0.0, 1.0)),
    ("idle_time_before_scale_down", Range(1, 604_800)),
    ("instance_count", Range(1, 1000)),
    ("instance_type", INSTANCE_TYPE, KUBERNETES),
    ("jobs.*.limits.*", Range(1)),
    ("jobs.*.objective.goal", Pattern("maximize", "maximize; higher scores are better")),
    ("jobs.*.objective.primary_metric", Pattern("score", "score, which trials log")),
    ("max_instances", Range(1, 65_000)),
    ("min_instances", Range(0, 65_000)),
    ("name", COMPONENT_NAME, "pipelineComponent"),
    ("name", ASSET_NAME, "data", "environment", "monitorSchedule", "schedule"),
    ("name", CLUSTER_NAME, "kubernetesCompute"),
    ("name", SHORT_NAME, BATCH, "amlCompute"),
    ("namespace", Pattern(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "lower-case letters and digits")),
    ("request_settings.max_concurrent_requests_per_instance", Range(1, 1000)),
    ("request_settings.request_timeout_ms", Range(1, 180_000), MANAGED),
    ("request_settings.request_timeout_ms", Range(1, 300_000), KUBERNETES),
    ("resource_id", CLUSTER),
    ("resources.*.cpu", Pattern(QUANTITY.pattern, "an amount such as 0.5 or 500m")),
    ("resources.*.memory", Pattern(QUANTITY.pattern, "an amount such as 2Gi")),
    ("resources.instance_count", Range(1, 1000)),
    ("trigger.interval", Range(1)),
    ("trigger.schedule.hours", Range(0, 23)),
    ("trigger.schedule.minutes", Range(0, 59)),
    ("trigger.schedule.month_days", Range(1, 31)),
)
# Fields that Azure ML's own validation does not require.
REQUIRED = {
    **dict.fromkeys((MANAGED, KUBERNETES), ("model", "code_configuration.scoring_script")),
    BATCH: ("component", "settings.default_compute"),
    **dict.fromkeys(("batchEndpoint", *ONLINE_ENDPOINTS), ("auth_mode",)),
    "amlCompute": ("size",),
    "commandComponent": ("code",),
    "data": ("name",),
    "kubernetesCompute": ("resource_id",),
    "monitorSchedule": (MONITORED,),
}
# Pairs of fields: the first must not exceed the second.
LIMITS = (
    ("jobs.*.limits.max_concurrent_trials", "jobs.*.limits.max_total_trials"),
    ("min_instances", "max_instances"),
    ("resources.requests.cpu", "resources.limits.cpu"),
    ("resources.requests.memory", "resources.limits.memory"),
)
# Fields with a path relative to their file.
PATHS = (
    "build.path",
    "code",
    "code_configuration.code",
    "component",
    "conda_file",
    "create_job",
    "inputs.*.path",
    "jobs.*.component",
    "jobs.*.trial",
    "model",
    "path",
)
REMOTE = ("azureml:", "/subscriptions/", "https://", "wasbs://", "abfss://", "adl://")
# A field with a reference, its form, the kinds of files that define the name, and the kinds of
# files that this is about if not all.
NAME = r"azureml:([A-Za-z0-9][\w.-]{0,254})"
COMPUTE = Pattern(NAME, "azureml:NAME, without a version")
PLAIN = Pattern(r"([A-Za-z][A-Za-z0-9-]*)", "a cluster's name alone")
MODEL = Pattern(rf"{NAME}:[\w.-]+", "azureml:NAME:VERSION, one exact version")
VERSIONED = Pattern(rf"{NAME}(?:@[\w-]+|:[\w.-]+)", "azureml:NAME@latest or azureml:NAME:VERSION")
REFERENCES: tuple[tuple[str, Pattern, tuple[str, ...], *tuple[str, ...]], ...] = (
    ("compute", COMPUTE, COMPUTES),
    ("environment", VERSIONED, ("environment",)),
    ("inputs.*.path", VERSIONED, ("data",)),
    ("jobs.*.compute", COMPUTE, COMPUTES),
    ("jobs.*.environment", VERSIONED, ("environment",)),
    ("jobs.*.inputs.model.path", MODEL, ()),
    ("model", MODEL, ()),
    ("settings.default_compute", COMPUTE, COMPUTES, "pipelineJob"),
    ("settings.default_compute", PLAIN, COMPUTES, BATCH),  # as in Microsoft's samples
    (MONITORED, Pattern(rf"{NAME}:[\w-]+", "azureml:ENDPOINT:DEPLOYMENT"), ONLINE_ENDPOINTS),
)
# VM series, with # for the number of vCPUs; from "Sizes for virtual machines in Azure".
SERIES = """
A#_v2 A#m_v2 D# D#_v2 DS#_v2 D#_v3 D#s_v3 D#_v4 D#s_v4 D#d_v4 D#ds_v4 D#a_v4 D#as_v4 D#_v5 D#s_v5
D#d_v5 D#ds_v5 D#as_v5 D#ads_v5 D#ls_v5 D#lds_v5 D#s_v6 D#ds_v6 D#ls_v6 D#lds_v6 D#as_v6 D#ads_v6
E#_v3 E#s_v3 E#_v4 E#s_v4 E#d_v4 E#ds_v4 E#a_v4 E#as_v4 E#_v5 E#s_v5 E#d_v5 E#ds_v5 E#as_v5
E#ads_v5 E#s_v6 E#ds_v6 E#as_v6 E#ads_v6 F# F#s F#s_v2 F#as_v6 F#als_v6 F#ams_v6 FX#mds L#s_v2
L#s_v3 L#as_v3 M#s M#ms HB#rs_v2 HB#rs_v3 HB#rs_v4 HC#rs NC#s_v3 NC#rs_v3 NC#as_T4_v3
NC#ads_A100_v4 NC#ads_H100_v5 ND#rs_v2 ND#asr_v4 ND#amsr_A100_v4 ND#isr_H100_v5 NV#s_v3 NV#as_v4
NV#ads_A10_v5
"""
SPARK_SIZE = Pattern("(?i)standard_e(4|8|16|32|64)s_v3", "standard_e4s_v3 or a larger one")
REGIONS = """
australiacentral australiacentral2 australiaeast australiasoutheast austriaeast belgiumcentral
brazilsouth brazilsoutheast canadacentral canadaeast centralindia centralus chilecentral
denmarkeast eastasia eastus eastus2 francecentral francesouth germanynorth germanywestcentral
indiasouthcentral indonesiacentral israelcentral italynorth japaneast japanwest jioindiacentral
jioindiawest koreacentral koreasouth malaysiawest mexicocentral newzealandnorth northcentralus
northeurope norwayeast norwaywest polandcentral qatarcentral southafricanorth southafricawest
southcentralus southeastasia southindia spaincentral swedencentral swedensouth switzerlandnorth
switzerlandwest uaecentral uaenorth uksouth ukwest westcentralus westeurope westindia westus
westus2 westus3
"""


def check_names(document: Document, context: Context) -> Iterator[Finding]:
    """Check that names are unique among files of a kind."""
    name = str(document.get("name", default=""))
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
    """Check that fields have values that Azure allows."""
    for field, allowed, *kinds in VALUES:
        applies = not kinds or document.kind in kinds
        for path, value in document.match(field) if applies else ():
            for item in value if isinstance(value, list) else [value]:
                if not allowed.allows(item):
                    message = f"{path[-1]} is {item}, which is not valid."
                    yield document.finding("AZ007", path, message, f"Use {allowed}.")


def check_limits(document: Document, context: Context) -> Iterator[Finding]:
    """Check that amounts do not exceed their limits."""
    for field, limit in LIMITS:
        for path, value in document.match(field):
            names = zip(path, limit.split("."), strict=True)
            other = document.get(*(key if part == "*" else part for key, part in names))
            found = [QUANTITY.fullmatch(str(amount)) for amount in (value, other)]
            low, high = (float(match[1]) * UNITS[match[2]] if match else 0 for match in found)
            if 0 < high < low:
                text = f"{field} is {value}, more than {limit}, {other}."
                message = text.replace("jobs.*.limits.", "")
                yield document.finding("AZ007", path, message, "Lower one or raise the other.")


def check_sizes(document: Document, context: Context) -> Iterator[Finding]:
    """Warn about unknown sizes of machines."""
    for path, size in document.match("instance_type" if document.kind == MANAGED else "size"):
        if problem := size_problem(str(size)):
            yield document.finding("AZ070", path, *problem)
    for path, size in document.match("create_monitor.compute.instance_type"):
        if not SPARK_SIZE.allows(size):
            message = f"{size} is not a known size for monitors."
            yield document.finding("AZ070", path, message, f"Use {SPARK_SIZE}.")


def size_problem(name: str) -> tuple[str, str] | None:
    """Return what is wrong with a VM size and its fix; None if its series is known."""
    # No size has an odd number of vCPUs above 15. Azure ignores case.
    vcpus = re.match(r"\D*(\d|1[0-5]|\d*[02468])(?!\d)", name)
    known = [f"Standard_{series.replace('#', vcpus[1])}" for series in SERIES.split() if vcpus]
    if name.lower() in map(str.lower, known):
        return None
    full = name if name.lower().startswith("standard") else f"Standard_{name}"
    fix = f"{nearest(full, known)}`az vm list-sizes --location REGION` lists the sizes."
    return f"{name} is not a known VM size.", fix


def check_paths(document: Document, context: Context) -> Iterator[Finding]:
    """Check that local paths exist."""
    for field in PATHS:
        for path, value in document.match(field):
            local = isinstance(value, str) and not value.startswith(REMOTE)
            if local and not document.local(value).exists():
                fix = f"Correct the path; it is relative to {document.name}."
                yield document.finding("AZ008", path, f"{value} does not exist.", fix)


def check_references(document: Document, context: Context) -> Iterator[Finding]:
    """Check the form of ``azureml:NAME``, and that a file of azureml/ defines the name."""
    for field, form, definers, *kinds in REFERENCES:
        applies = not kinds or document.kind in kinds
        for path, value in document.match(field) if applies else ():
            local = field in PATHS and not str(value).startswith("azureml:")
            if not isinstance(value, str) or local or re.match(r"(azureml:)*/", value):  # a full ID
                continue
            found = re.fullmatch(form.expression, value)
            if not found:
                message = f"{value!r} is not a valid reference."
                yield document.finding("AZ010", path, message, f"Use {form}.")
            elif definers:
                yield from check_defined(document, path, found[1], context.names(*definers))


def check_defined(
    document: Document, path: FieldPath, name: str, names: list[str]
) -> Iterator[Finding]:
    """Check that a file of azureml/ defines a name."""
    if name not in names:
        message, fix = f"No file of azureml/ defines {name}.", ", ".join(names) or "none"
        yield document.finding("AZ011", path, message, f"Use one of: {fix}.")
