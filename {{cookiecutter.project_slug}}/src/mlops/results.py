"""What one step hands to the next, written as JSON and read back as the same frozen model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops.config import LOWER_IS_BETTER
from mlops.errors import ConfigError
from mlops.outputs import write_text

Label = bool | int | float | str
# A metric is None where it is undefined, as a ranking is without both classes.
Metrics = Mapping[str, float | None]
NOTABLE_SHIFT: Final = 0.1


class Result(BaseModel):
    """Immutable, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Stored(Result):
    """A result with a file of its own: its name, and the verb that writes it."""

    file: ClassVar[str]
    verb: ClassVar[str]


class ExpectationResult(Result):
    """One expectation, and what was observed."""

    suite: str
    column: str  # "" for the whole table
    rule: str
    passed: bool
    observed: str
    count: int | None = None  # of the rows that fail it; None where it is not about rows
    fraction: float | None = None
    rows: tuple[int, ...] = ()  # the first few that fail, counted from 1 after the header
    values: tuple[str, ...] = ()


class Validation(Stored):
    """The result of `mlops validate`."""

    file: ClassVar[str] = "validation.json"
    verb: ClassVar[str] = "validate"
    schema_version: Literal[1] = 1
    data_digest: str  # SHA-256 of the data file
    key: str  # SHA-256 of all that determines the result: rows, suites, library versions
    rows: int
    expectations: tuple[ExpectationResult, ...]

    @property
    def failed(self) -> tuple[ExpectationResult, ...]:
        return tuple(result for result in self.expectations if not result.passed)

    @property
    def passed(self) -> bool:
        return not self.failed


class Training(Stored):
    """The result of `mlops train`: a fitted model's provenance."""

    file: ClassVar[str] = "training.json"
    verb: ClassVar[str] = "train"
    schema_version: Literal[1] = 1
    run_id: str  # of the MLflow run that logged the model
    key: str  # SHA-256 of all that determines the model: data, settings, science, versions
    model_digest: str
    data: str = ""  # where the rows came from: a path, or an address on Azure
    data_digest: str
    threshold: float | None  # of the positive class's probability; None with more than two classes
    params: Mapping[str, bool | int | float | str | None]  # also those that a search found
    rows: int  # used for training


class Candidate(Stored):
    """One trial of a search on Azure ML."""

    file: ClassVar[str] = "candidate.json"
    verb: ClassVar[str] = "search"
    schema_version: Literal[1] = 1
    number: int
    params: Mapping[str, Any]
    score: float
    key: str  # of the training that it belongs to


class Slice(Result):
    """The rows with one value of a column."""

    column: str
    value: str

    def __str__(self) -> str:
        return f"{self.column}={self.value}"


class SliceMetrics(Result):
    """The challenger's metrics within a slice."""

    slice: Slice
    rows: int
    metrics: Metrics


class ThresholdResult(Result):
    """One threshold of the gate, and whether it is met."""

    metric: str
    value: float | None
    limit: float
    passed: bool
    slice: Slice | None = None  # None for the whole holdout

    @property
    def sign(self) -> str:
        return "≤" if self.metric in LOWER_IS_BETTER else "≥"


class Reason(Result):
    """Why the gate decided as it did: a code for programs, a sentence for people."""

    code: str
    text: str


class Gain(Result):
    """The challenger's gain over the champion in the gate's metric."""

    value: float  # on the whole holdout; positive is better, also for losses
    low: float  # from here to `high`: the middle 90 % of the bootstrap
    high: float
    confidence: float  # fraction of the resamples in which the gain reaches the margin
    detectable: float  # the smallest true gain that the gate notices four times of five


class Comparison(Result):
    """How the champion was compared, on rows that neither model was trained on."""

    how: Literal["registered", "refitted"]  # itself, or its pipeline on today's training rows
    why: str = ""  # it was refitted
    seen: int = 0  # rows of the holdout left out, because the champion was trained on them

    def __str__(self) -> str:
        if self.how == "refitted":
            return (
                "The champion's pipeline was fitted anew on today's training rows for the "
                f"comparison, because {self.why}."
            )
        if self.seen:
            rows = "1 row" if self.seen == 1 else f"{self.seen:,} rows"
            return f"{rows} of the holdout were left out: the champion was trained on them."
        return "The champion was trained on none of these rows."


class Decision(Result):
    """The gate's decision, with its reasons and the thresholds that it checked."""

    accepted: bool
    reasons: tuple[Reason, ...]
    thresholds: tuple[ThresholdResult, ...]
    gain: Gain | None


class Shift(Result):
    """How far a column has moved since the champion's training."""

    column: str
    distance: float  # from 0 to 1
    expected: float  # a distance up to this is no surprise
    moved: str  # what moved most, in words

    @property
    def notable(self) -> bool:
        return self.distance > max(self.expected, NOTABLE_SHIFT)


class Evaluation(Stored):
    """The result of `mlops evaluate`: the challenger beside the champion, and the decision."""

    file: ClassVar[str] = "evaluation.json"
    verb: ClassVar[str] = "evaluate"
    schema_version: Literal[1] = 1
    run_id: str  # of the challenger's training, as `data_digest` and `threshold`
    data_digest: str
    classes: tuple[Label, ...]  # sorted
    positive: Label | None  # the class to detect; None with more than two classes
    threshold: float | None
    rows: int  # of the holdout, that neither model was trained on
    comparison: Comparison | None = None  # where a champion was scored
    gate_metric: str
    metrics: Metrics
    slices: tuple[SliceMetrics, ...]
    champion: int | None  # its version
    champion_metrics: Metrics | None  # None without a champion, or if it was not scored
    decision: Decision
    shifts: tuple[Shift, ...] = ()  # of all columns; none without a profile of the champion's data
    looks: int  # how many models were evaluated on this holdout, with this one
    class_rows: tuple[int, ...]  # of the holdout, as `classes`
    power: str = ""  # what the gate can see, in a sentence; "" without a comparison
    notes: tuple[Reason, ...] = ()  # what else to know before trusting the decision


class Registration(Stored):
    """The result of `mlops register`."""

    file: ClassVar[str] = "registration.json"
    verb: ClassVar[str] = "register"
    schema_version: Literal[1] = 1
    name: str
    version: int
    run_id: str


S = TypeVar("S", bound=Stored)


def write_result(folder: Path, result: Stored) -> None:
    """Write a result in one step: a reader sees the old file or the new one, never a part."""
    write_text(folder / result.file, result.model_dump_json(indent=2) + "\n")


def read_result(folder: Path, kind: type[S]) -> S:
    """Read a result that its verb wrote.

    Raises
    ------
    ConfigError
        The file is missing, damaged or of another version; the fix names the verb to run.
    """
    path = folder / kind.file
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.", f"Run `mlops {kind.verb}` first.") from None
    except ValidationError as error:
        first: Any = error.errors()[0]
        reason = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
        text = f"{path} cannot be read: {reason}."
        raise ConfigError(text, f"Run `mlops {kind.verb}` again.") from None


class Scored(Result):
    """A file whose rows were scored: where its lines are, and how many rows have problems."""

    file: str
    lines: Path
    rows: int
    problems: int
