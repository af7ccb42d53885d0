"""Read and check project.yml."""

from __future__ import annotations

import difflib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from mlops.errors import ConfigError
from mlops.naming import RULES, prefix_problem, unique

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Environment = Literal["staging", "production"]
ENVIRONMENTS: Final[tuple[Environment, ...]] = get_args(Environment)

GateMetric = Literal["average_precision", "roc_auc", "log_loss", "brier"]
Metric = Literal[
    "average_precision",
    "roc_auc",
    "log_loss",
    "brier",
    "calibration_error",
    "accuracy",
    "f1",
    "precision",
    "recall",
]
# Former names of fields, and their present ones.
RENAMED: Final = {
    "floors": "thresholds",
    "slice_floors": "slice_thresholds",
    "checks": "smoke_requests",
}
LOWER_IS_BETTER: frozenset[str] = frozenset({"log_loss", "brier", "calibration_error"})

Fraction = Annotated[float, Field(gt=0, lt=1)]
Thresholds = dict[Metric, float]
# A column or a class: blanks around it may belong to it.
Verbatim = Annotated[str, StringConstraints(strip_whitespace=False)]


def _check_class(value: Any) -> Any:
    whole = isinstance(value, float) and value.is_integer()
    if whole or value is None or isinstance(value, bool | int | str):
        return value
    raise ValueError("a class is text (in quotes), a whole number, true or false")


class Section(BaseModel):
    """A section of project.yml: immutable, and unknown fields are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False
    )


class Data(Section):
    path: Path = Field(description="a file or folder in the project, such as data/credit.csv")
    target: Verbatim = Field(pattern=r"\S", description="the name of the column to predict")
    positive: Annotated[bool | int | Verbatim | None, BeforeValidator(_check_class)] = Field(
        None, description="the class to detect, as written in the data (quote yes and no)"
    )
    id: Verbatim | list[Verbatim] | None = Field(
        None, description="the column, or columns, by which a row is known again"
    )

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: Path) -> Path:
        inside = os.path.normpath(path)
        if path.is_absolute() or inside == os.pardir or inside.startswith(os.pardir + os.sep):
            raise ValueError("It should be in the project; for other rows use --data")
        return path

    @property
    def ids(self) -> list[str]:
        """Return the columns of ``id``."""
        return [self.id] if isinstance(self.id, str) else self.id or []


class Split(Section):
    holdout: Fraction = Field(0.25, description="a fraction between 0 and 1, such as 0.25")
    seed: int = Field(7, ge=0, le=2**32 - 1, description="an integer, 0 or more")
    group: Verbatim | None = Field(None, description="a column whose equal values stay together")
    time: Verbatim | None = Field(
        None, description="a column to sort by; the newest rows are held out"
    )

    @model_validator(mode="after")
    def _check_group_or_time(self) -> Split:
        if self.group and self.time:
            raise ValueError("group and time cannot both be set")
        return self


class Search(Section):
    space: dict[str, list[Any]] = Field(
        min_length=1, description="parameter: [values], such as C: [0.1, 1, 10]"
    )
    candidates: int = Field(12, ge=2, description="the number of combinations to try, 2 or more")

    @property
    def combinations(self) -> int:
        """Return how many combinations are tried: ``candidates``, or all if there are fewer."""
        return min(self.candidates, math.prod(len(values) for values in self.space.values()))


class Model(Section):
    estimator: str = Field(
        description="logistic_regression, random_forest, hist_gradient_boosting, or an import path"
    )
    params: dict[str, Any] = Field(default_factory=dict, description="the estimator's parameters")
    search: Search | None = Field(None, description="a section with space and candidates")
    serialization: Literal["skops", "cloudpickle"] = Field(
        "skops", description="skops, or cloudpickle (which runs code from the file when loaded)"
    )
    trusted_types: list[str] = Field(
        default_factory=list, description="your own types that the model may contain"
    )


class Gate(Section):
    metric: GateMetric = Field(
        "average_precision", description="average_precision, roc_auc, log_loss or brier"
    )
    margin: float = Field(0.0, ge=0, description="the minimum gain over the champion, 0 or more")
    confidence: float = Field(0.9, ge=0.5, lt=1, description="from 0.5 to below 1, such as 0.9")
    thresholds: Thresholds = Field(
        default_factory=dict, description="metric: limit, such as roc_auc: 0.75"
    )
    slices: list[Verbatim | dict[Verbatim, list[float]]] = Field(
        default_factory=list, description="column names, or column: [edges] for numeric columns"
    )
    slice_thresholds: Thresholds = Field(
        default_factory=dict, description="metric: limit for every slice"
    )
    min_slice_rows: int = Field(
        50, ge=1, description="the minimum rows of a judged slice, 1 or more"
    )
    on_data_change: Literal["stop", "warn"] = Field(
        "stop", description="stop or warn, where the data seems to have changed under the champion"
    )

    @field_validator("slices")
    @classmethod
    def _check_slices(cls, slices: list[str | dict[str, list[float]]]) -> Any:
        for item in slices:
            if isinstance(item, dict) and (len(item) != 1 or not all(item.values())):
                raise ValueError(f"{item} must contain one column and at least one edge")
            for edges in item.values() if isinstance(item, dict) else ():
                if edges != sorted(set(edges)):
                    raise ValueError(f"the edges {edges} are not increasing")
        return slices


class Endpoint(Section):
    """What every target needs; each target adds its own fields."""

    port: int = Field(ge=1024, le=65535, description="a free port from 1024 to 65535")
    steps: list[Annotated[int, Field(ge=1, le=100)]] = Field(
        default=[100], min_length=1, description="increasing percentages, ending with 100"
    )
    smoke_requests: int = Field(10, ge=1, description="requests at each step, 1 or more")
    max_latency_ms: float = Field(1000, gt=0, description="milliseconds, more than 0")
    timeout_s: float = Field(10, gt=0, description="seconds to wait for an answer")
    start_timeout_s: float = Field(60, gt=0, description="seconds to wait for a server to start")
    releasers: tuple[str, ...] = Field(
        (), description="who may release by hand where CI asks no reviewers, such as [alice]"
    )

    @field_validator("steps")
    @classmethod
    def _check_steps(cls, steps: list[int]) -> list[int]:
        if steps != sorted(set(steps)) or steps[-1] != 100:
            raise ValueError("the steps do not increase to 100")
        return steps


Instances = Annotated[int, Field(ge=1, description="servers per version, 1 or more")]
Cpu = Annotated[float, Field(gt=0, description="processors per container, such as 1 or 0.5")]
MemoryGb = Annotated[float, Field(gt=0, description="memory per container in GB, such as 2")]
INSTANCE_TYPE: Final = r"^[A-Za-z][A-Za-z0-9_.-]*$"


class LocalEndpoint(Endpoint):
    target: Literal["local"] = "local"


class ManagedEndpoint(Endpoint):
    target: Literal["managed"] = "managed"
    instance_type: str = Field(
        "Standard_DS3_v2", pattern=INSTANCE_TYPE, description="a VM size, such as Standard_DS3_v2"
    )
    instances: Instances = 1
    max_instances: int | None = Field(
        None, ge=1, description="servers per version under load; omit it, and none are added"
    )
    mirror: int = Field(
        0, ge=0, le=50, description="percent of the traffic to copy to a new version first, 0 to 50"
    )

    @model_validator(mode="after")
    def _check_instances(self) -> ManagedEndpoint:
        if self.max_instances is not None and self.max_instances < self.instances:
            raise ValueError("max_instances is less than instances")
        return self


class KubernetesEndpoint(Endpoint):
    target: Literal["kubernetes"] = "kubernetes"
    instance_type: str = Field(
        "defaultinstancetype", pattern=INSTANCE_TYPE, description="an instance type of the cluster"
    )
    instances: Instances = 1
    cpu: Cpu = 1
    memory_gb: MemoryGb = 2


class ContainerInstanceEndpoint(Endpoint):
    target: Literal["container-instance"] = "container-instance"
    cpu: Cpu = 1
    memory_gb: MemoryGb = 2

    @field_validator("steps")
    @classmethod
    def _check_single_step(cls, steps: list[int]) -> list[int]:
        if steps != [100]:
            raise ValueError("container-instance cannot split traffic, so steps must be [100]")
        return steps


def _default_to_local(settings: Any) -> Any:
    return {"target": "local", **settings} if isinstance(settings, dict) else settings


Endpoints = LocalEndpoint | ManagedEndpoint | KubernetesEndpoint | ContainerInstanceEndpoint
AnyEndpoint = Annotated[
    Endpoints, Field(discriminator="target"), BeforeValidator(_default_to_local)
]
TARGETS: Final[dict[str, type[Endpoint]]] = {
    kind.model_fields["target"].default: kind for kind in get_args(Endpoints)
}


class Serving(Section):
    staging: AnyEndpoint = Field(description="a section with target and port")
    production: AnyEndpoint = Field(description="a section with target and port")

    @model_validator(mode="after")
    def _check_ports(self) -> Serving:
        if self.staging.port == self.production.port:
            raise ValueError("staging and production have the same port")
        return self


def _not_a_boolean(name: str) -> str:
    if name in ("y", "n"):  # PyYAML reads them as strings
        raise ValueError("Terraform reads y and n as booleans; use another name")
    return name


class Compute(Section):
    size: str = Field(
        "Standard_DS3_v2",
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        description="a VM size, such as Standard_DS3_v2",
    )
    nodes: int = Field(2, ge=1, description="maximum nodes; scales to zero")
    tier: Literal["dedicated", "low_priority"] = Field(
        "dedicated", description="dedicated, or low_priority (cheaper, can be preempted)"
    )
    idle_seconds: int = Field(
        900, ge=60, description="seconds until an idle node is removed, 60 or more"
    )


class Azure(Section):
    region: str = Field(pattern=r"^[a-z0-9]+$", description="an Azure region, such as westeurope")
    prefix: str = Field(
        pattern=r"^[a-z][a-z0-9]*$", description="lower-case letters and digits, letter first"
    )
    network: Literal["public", "private"] = Field(
        "public", description="public, or private, as infra/ was rendered"
    )
    data: str | None = Field(
        None,
        pattern=r"^(azureml|abfss|wasbs|https)://[^\s\"$`\\]+$",
        description="a file or, ending with /, a folder on Azure, such as "
        "azureml://datastores/workspaceblobstore/paths/credit/",
    )
    compute: Compute = Field(
        default_factory=Compute, description="a section with size, nodes, tier and idle_seconds"
    )

    def name(self, resource: str, environment: Environment, slot: str = "") -> str:
        """Return the name of an Azure resource: a key of `mlops.naming.RULES`."""
        rule = RULES[resource]
        own = unique(subscription(), self.prefix, environment) if rule.is_global else ""
        return rule.name(self.prefix, environment, slot, own)

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        if problem := prefix_problem(prefix):
            raise ValueError(problem)
        return _not_a_boolean(prefix)


class Doctor(Section):
    ignore: list[str] = Field(
        default_factory=list, description="codes of findings to ignore, such as [AZ070]"
    )


class Project(Section):
    """The content of project.yml, and its folder (``root``)."""

    project: str = Field(
        max_length=50,
        pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        description="lower-case words joined by hyphens, at most 50 characters",
    )
    name: str = Field(min_length=1, description="the display name")
    description: str = Field(description="one sentence")
    repository: str = Field(  # names on Azure DevOps may contain spaces
        pattern=r"^[^/\s]+( +[^/\s]+)*/[^/\s]+( +[^/\s]+)*$",
        description="owner/name, or project/repository on Azure DevOps",
    )
    package: str = Field(
        pattern=r"^[a-z_][a-z0-9_]*$", description="the name of the folder in src/"
    )
    data: Data
    split: Split = Field(default_factory=Split)
    model: Model
    gate: Gate = Field(default_factory=Gate)
    serving: Serving
    azure: Azure
    doctor: Doctor = Field(default_factory=Doctor, description="a section with ignore")
    root: Path = Field(exclude=True, description="set by load_project")

    @field_validator("project")
    @classmethod
    def _check_project(cls, project: str) -> str:
        return _not_a_boolean(project)

    @property
    def data_path(self) -> Path:
        return self.root / self.data.path

    @property
    def outputs(self) -> Path:
        """Return the folder of the results: ``outputs``, or MLOPS_OUTPUTS in an Azure ML job."""
        given = os.environ.get("MLOPS_OUTPUTS")
        return Path(given).absolute() if given else self.root / "outputs"

    def endpoint(self, environment: Environment) -> AnyEndpoint:
        """Return the settings of an environment's endpoint."""
        return self.serving.staging if environment == "staging" else self.serving.production


def subscription() -> str:
    """Return the ID of the Azure subscription.

    Raises
    ------
    ConfigError
        AZURE_SUBSCRIPTION_ID is not set.
    """
    if found := os.environ.get("AZURE_SUBSCRIPTION_ID"):
        return found
    raise ConfigError(
        "AZURE_SUBSCRIPTION_ID is not set.",
        "Set it to your subscription's ID: `az account show --query id`.",
    )


def load_project(start: Path = Path()) -> Project:
    """Read project.yml from ``start`` or the nearest folder above it.

    Raises
    ------
    ConfigError
        There is no project.yml, it is not valid YAML, or it has errors; all are listed, each with
        its path, value and what is expected.
    """
    file = _find(start.resolve())
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:  # of bytes, or of a date such as 2026-99-99
        raise ConfigError(f"{file} is not valid YAML: {error}", "Fix that line.") from None
    except RecursionError:
        raise ConfigError(f"{file} is nested too deeply.", "Restore it from git.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{file} contains no fields.", "Restore it from git.")
    try:
        fields = {str(name): value for name, value in content.items()}
        return Project(**{**fields, "root": file.parent})
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
        raise ConfigError(f"{file.name} has {count}:\n  " + "\n  ".join(lines)) from None


def _find(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / "project.yml").is_file():
            return folder / "project.yml"
    raise ConfigError(
        f"There is no project.yml in {start} or above it.",
        "Change to the project's folder, or pass it: mlops --project FOLDER ...",
    )


def _explain(error: ErrorDetails) -> str:
    """Return one line for an error: the field's path, its value, what is wrong and expected."""
    path, section, expected = _locate(error["loc"])
    value = "" if isinstance(error["input"], BaseModel | dict) else f" = {error['input']!r}"
    if error["type"] == "extra_forbidden":
        return _explain_unknown(path, section)
    if error["type"] == "missing":
        problem = f"{path} is missing."
    elif error["type"] == "union_tag_invalid":
        target = error["input"]["target"]
        return f"{path}.target = {target!r} is not a target. Known: {', '.join(TARGETS)}."
    elif error["type"] in ("model_type", "model_attributes_type"):
        problem = f"{path}{value}: Input should be a section of fields."
    else:
        problem = f"{path or 'project.yml'}{value}: {error['msg'].removeprefix('Value error, ')}."
    return f"{problem} Expected: {expected}." if expected else problem


def _explain_unknown(path: str, section: type[BaseModel]) -> str:
    name = path.rpartition(".")[2]
    fields = section.model_fields
    new = RENAMED.get(name)
    if new in fields:
        return f"{path} is now called {new}. Rename it."
    owners = [target for target, kind in TARGETS.items() if name in kind.model_fields]
    if owners and issubclass(section, Endpoint):
        own = fields["target"].default
        return f"{path} is not a field of the target {own}, only of {' and '.join(owners)}."
    near = difflib.get_close_matches(name, fields, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(fields)}."
    return f"{path} is not a field. {hint}"


def _locate(loc: tuple[int | str, ...]) -> tuple[str, type[BaseModel], str]:
    """Return a field's path without pydantic's union tags, its section, and its description."""
    path: list[str] = []
    section: type[BaseModel] = Project
    description = ""
    for part in map(str, loc):
        if issubclass(section, Endpoint) and part in TARGETS:
            section = TARGETS[part]
            continue
        path.append(part)
        if info := section.model_fields.get(part):
            description = info.description or ""
            kinds = (info.annotation, *get_args(info.annotation))
            sections = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
            section = sections[0] if sections else BaseModel
    return ".".join(path), section, description
