"""project.yml: read once, checked whole, handed on as plain typed values."""

from __future__ import annotations

import difflib
import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mlops.errors import ConfigError

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
# A field's former name, and its name now.
RENAMED = {
    "floors": "thresholds",
    "slice_floors": "slice_thresholds",
    "checks": "smoke_requests",
}
LOWER_IS_BETTER: frozenset[str] = frozenset({"log_loss", "brier", "calibration_error"})

Share = Annotated[float, Field(gt=0, lt=1)]
Thresholds = dict[Metric, float]


class Section(BaseModel):
    """A part of project.yml: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False
    )


class Data(Section):
    path: Path = Field(description="a file or folder below the project, such as data/credit.csv")
    target: str = Field(min_length=1, description="the name of the column to predict")
    positive: str | int | None = Field(
        None, description="the class to detect, as it stands in the data (put yes and no in quotes)"
    )


class Split(Section):
    holdout: Share = Field(0.25, description="a share between 0 and 1, such as 0.25")
    seed: int = Field(7, ge=0, le=2**32 - 1, description="a whole number of 0 or more")
    group: str | None = Field(None, description="a column whose rows must stay on one side")
    time: str | None = Field(None, description="a column to sort by; the newest rows are held out")

    @model_validator(mode="after")
    def _one_rule(self) -> Split:
        if self.group and self.time:
            raise ValueError("group and time are both set")
        return self


class Search(Section):
    space: dict[str, list[Any]] = Field(
        min_length=1, description="parameter: [values], such as C: [0.1, 1, 10]"
    )
    candidates: int = Field(12, ge=2, description="how many combinations to try, 2 or more")

    @property
    def combinations(self) -> int:
        """How many are tried: ``candidates``, or all if there are fewer."""
        return min(self.candidates, math.prod(len(values) for values in self.space.values()))


class Model(Section):
    estimator: str = Field(
        description="logistic_regression, random_forest, hist_gradient_boosting, or an import path"
    )
    params: dict[str, Any] = Field(default_factory=dict, description="the estimator's parameters")
    search: Search | None = Field(None, description="a section with space and candidates")
    serialization: Literal["skops", "cloudpickle"] = Field(
        "skops", description="skops, or cloudpickle (loading one runs code from the file)"
    )
    trusted_types: list[str] = Field(
        default_factory=list, description="types of your own that loading the model may construct"
    )


class Gate(Section):
    metric: GateMetric = Field(
        "average_precision", description="average_precision, roc_auc, log_loss or brier"
    )
    margin: float = Field(0.0, ge=0, description="the least gain over the champion, 0 or more")
    confidence: float = Field(0.9, ge=0.5, lt=1, description="from 0.5 to below 1, such as 0.9")
    thresholds: Thresholds = Field(
        default_factory=dict, description="metric: limit, such as roc_auc: 0.75"
    )
    slices: list[str | dict[str, list[float]]] = Field(
        default_factory=list, description="column names, or column: [edges] for numbers"
    )
    slice_thresholds: Thresholds = Field(
        default_factory=dict, description="metric: limit for every slice"
    )
    min_slice_rows: int = Field(50, ge=1, description="rows below which a slice is not judged")

    @field_validator("slices")
    @classmethod
    def _one_column_each(cls, slices: list[str | dict[str, list[float]]]) -> Any:
        for item in slices:
            if isinstance(item, dict) and (len(item) != 1 or not all(item.values())):
                raise ValueError(f"{item} should hold one column and at least one edge")
            for edges in item.values() if isinstance(item, dict) else ():
                if edges != sorted(set(edges)):
                    raise ValueError(f"the edges {edges} do not rise")
        return slices


class Endpoint(Section):
    target: Literal["local", "managed", "kubernetes", "container-instance"] = Field(
        "local",
        description="where `--on azureml` serves: managed, kubernetes or container-instance; "
        "local serves on this machine alone",
    )
    port: int = Field(ge=1024, le=65535, description="a free port from 1024 to 65535")
    steps: list[Annotated[int, Field(ge=1, le=100)]] = Field(
        default=[100], min_length=1, description="rising percentages that end with 100"
    )
    smoke_requests: int = Field(
        10, ge=1, description="requests with known answers at each step, 1 or more"
    )
    max_latency_ms: float = Field(1000, gt=0, description="milliseconds, more than 0")
    timeout_s: float = Field(10, gt=0, description="seconds to wait for an answer")
    start_timeout_s: float = Field(60, gt=0, description="seconds to wait for a server's start")
    instance_type: str = Field(
        "Standard_DS3_v2",
        pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$",
        description="a VM size, such as Standard_DS3_v2; on kubernetes an instance type",
    )
    instances: int = Field(1, ge=1, description="how many serve a version, 1 or more")
    mirror: int = Field(
        0, ge=0, le=50, description="percent of the traffic to copy to a new version first, 0 to 50"
    )
    cpu: float = Field(1, gt=0, description="processors of a container, such as 1 or 0.5")
    memory_gb: float = Field(2, gt=0, description="memory of a container in GB, such as 2")

    @model_validator(mode="before")
    @classmethod
    def _kind_of_instance(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("target") == "kubernetes":
            return {"instance_type": "defaultinstancetype", **values}
        return values

    @field_validator("steps")
    @classmethod
    def _rising_to_all(cls, steps: list[int]) -> list[int]:
        if steps != sorted(set(steps)) or steps[-1] != 100:
            raise ValueError("the steps do not rise to 100")
        return steps

    @model_validator(mode="after")
    def _what_the_target_can(self) -> Endpoint:
        if self.target == "container-instance" and self.steps != [100]:
            raise ValueError("steps should be [100]: a container-instance shares no traffic")
        if self.mirror and self.target != "managed":
            raise ValueError(f"mirror should be 0: only managed mirrors traffic, not {self.target}")
        return self


class Serving(Section):
    staging: Endpoint = Field(description="a section with target and port")
    production: Endpoint = Field(description="a section with target and port")

    @model_validator(mode="after")
    def _own_ports(self) -> Serving:
        if self.staging.port == self.production.port:
            raise ValueError("staging and production share a port")
        return self


class Compute(Section):
    size: str = Field(
        "Standard_DS3_v2",
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        description="a VM size, such as Standard_DS3_v2",
    )
    nodes: int = Field(2, ge=1, description="the most nodes at once, 1 or more; idle, none run")
    tier: Literal["dedicated", "low_priority"] = Field(
        "dedicated", description="dedicated, or low_priority (cheaper, may be taken away)"
    )
    idle_seconds: int = Field(900, ge=60, description="seconds until an idle node ends, 60 or more")


class Azure(Section):
    region: str = Field(pattern=r"^[a-z0-9]+$", description="a region's name, such as westeurope")
    prefix: str = Field(
        pattern=r"^[a-z][a-z0-9]*$", description="lower-case letters and digits, letter first"
    )
    compute: Compute = Field(
        default_factory=Compute, description="a section with size, nodes, tier and idle_seconds"
    )


class Doctor(Section):
    ignore: list[str] = Field(
        default_factory=list, description="codes of findings to ignore, such as [AZ070]"
    )


class Project(Section):
    """project.yml, and the folder it lies in (``root``)."""

    project: str = Field(pattern=r"^[a-z][a-z0-9-]*$", description="lower-case words and hyphens")
    name: str = Field(min_length=1, description="the project's name, for people")
    description: str = Field(description="one sentence")
    repository: str = Field(  # names on Azure DevOps may hold blanks
        pattern=r"^[^/\s]+( +[^/\s]+)*/[^/\s]+( +[^/\s]+)*$",
        description="owner/name, or project/repository on Azure DevOps",
    )
    package: str = Field(pattern=r"^[a-z_][a-z0-9_]*$", description="the folder's name in src/")
    data: Data
    split: Split = Field(default_factory=Split)
    model: Model
    gate: Gate = Field(default_factory=Gate)
    serving: Serving
    azure: Azure
    doctor: Doctor = Field(default_factory=Doctor, description="a section with ignore")
    root: Path = Field(exclude=True, description="set by load_project")

    @property
    def data_path(self) -> Path:
        return self.root / self.data.path

    @property
    def outputs(self) -> Path:
        """The folder into which every verb writes what it found.

        MLOPS_OUTPUTS puts it elsewhere: an Azure ML job hands it from step to step.
        """
        given = os.environ.get("MLOPS_OUTPUTS")
        return Path(given).absolute() if given else self.root / "outputs"


def load_project(start: Path) -> Project:
    """Read project.yml from ``start`` or the nearest folder above it.

    Raises
    ------
    ConfigError
        No project.yml, no valid YAML, or fields that are missing, unknown or out of range:
        all of them at once, each with its path, its value and what is expected.
    """
    file = _find(start.resolve())
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid YAML: {error}", "Mend the line it names.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{file} holds no fields.", "Restore it from git.")
    try:
        fields = {str(name): value for name, value in content.items()}
        return Project(**{**fields, "root": file.parent})
    except ValidationError as error:
        lines = [_explain(dict(item)) for item in error.errors()]
        count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
        raise ConfigError(f"{file.name} has {count}:\n  " + "\n  ".join(lines)) from None


def _find(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / "project.yml").is_file():
            return folder / "project.yml"
    raise ConfigError(
        f"There is no project.yml in {start} or above it.",
        "Go to the project's folder, or name it: mlops --project FOLDER ...",
    )


def _explain(error: dict[str, Any]) -> str:
    """One line for one error: field's path = value: what is wrong. What is expected."""
    path = ".".join(str(part) for part in error["loc"]) or "project.yml"
    section, field = _field(error["loc"])
    if error["type"] == "missing":
        message = f"{path} is missing."
    elif error["type"] == "extra_forbidden":
        new = RENAMED.get(str(error["loc"][-1]))
        if new in section.model_fields:
            return f"{path} is now called {new}. Rename it."
        near = difflib.get_close_matches(str(error["loc"][-1]), section.model_fields, n=1)
        known = ", ".join(section.model_fields)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {known}."
        return f"{path} is not a field. {hint}"
    else:
        value = "" if isinstance(error["input"], BaseModel | dict) else f" = {error['input']!r}"
        message = f"{path}{value}: {error['msg'].removeprefix('Value error, ')}."
    return message + (f" Expected: {field}." if field else "")


def _field(loc: tuple[int | str, ...]) -> tuple[type[BaseModel], str]:
    """The section that holds the field at ``loc``, and the field's description."""
    section: type[BaseModel] = Project
    description = ""
    for part in loc:
        info = section.model_fields.get(str(part))
        if info is None:
            break
        description = info.description or ""
        kinds = (info.annotation, *get_args(info.annotation))
        inner = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if not inner:
            break
        section = inner[0]
    return section, description
