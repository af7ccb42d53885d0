"""What one step hands to the next, written as JSON and read back as the same frozen model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops.config import LOWER_IS_BETTER
from mlops.errors import ConfigError
from mlops.outputs import write_text

Label = bool | int | float | str
# A metric is None where it is undefined, as a ranking is without both classes.
Metrics = Mapping[str, float | None]


class Result(BaseModel):
    """Immutable, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExpectationResult(Result):
    """One expectation, and what the data holds.

    Attributes
    ----------
    suite, column, rule : str
        Where it is written, its column ("" for the whole table), and what it expects.
    observed : str
        What the data holds.
    count : int or None
        How many rows fail it; None where it is not about rows.
    fraction : float or None
        ``count`` as a fraction of the rows.
    rows : tuple of int
        The first few of those rows, counted from 1 after the header.
    values : tuple of str
        Their values, shortened.
    """

    suite: str
    column: str
    rule: str
    passed: bool
    observed: str
    count: int | None = None
    fraction: float | None = None
    rows: tuple[int, ...] = ()
    values: tuple[str, ...] = ()


class Validation(Result):
    """The result of `mlops validate`.

    Attributes
    ----------
    data_digest : str
        SHA-256 of the data file.
    key : str
        SHA-256 of all that determines the result: rows, suites, library versions.
    rows : int
    expectations : tuple of ExpectationResult
    """

    schema_version: Literal[1] = 1
    data_digest: str
    key: str
    rows: int
    expectations: tuple[ExpectationResult, ...]

    @property
    def failed(self) -> tuple[ExpectationResult, ...]:
        return tuple(result for result in self.expectations if not result.passed)

    @property
    def passed(self) -> bool:
        return not self.failed


class Training(Result):
    """The result of `mlops train`: a fitted model's provenance.

    Attributes
    ----------
    run_id : str
        The MLflow run that holds the model.
    key : str
        SHA-256 of all that determines the model: data, settings, science, library versions.
    model_digest, data_digest : str
        SHA-256 of the model's files and of the data.
    threshold : float or None
        Probability from which the positive class is predicted; None with more than two classes.
    params : dict
        The classifier's parameters, including those that a search found.
    rows : int
        Number of training rows.
    """

    schema_version: Literal[1] = 1
    run_id: str
    key: str
    model_digest: str
    data_digest: str
    threshold: float | None
    params: Mapping[str, bool | int | float | str | None]
    rows: int


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
    """One threshold of the gate, and whether it is met; ``slice`` is None for the whole holdout."""

    metric: str
    value: float | None
    limit: float
    passed: bool
    slice: Slice | None = None

    @property
    def sign(self) -> str:
        return "≤" if self.metric in LOWER_IS_BETTER else "≥"

    @property
    def name(self) -> str:
        return f"{self.slice} {self.metric}" if self.slice else self.metric


class Reason(Result):
    """Why the gate decided as it did: a code for programs, a sentence for people."""

    code: str
    text: str


class Gain(Result):
    """The challenger's gain over the champion in the gate's metric.

    Attributes
    ----------
    value : float
        On the whole holdout; positive is better, also for losses.
    low, high : float
        The middle 90 % of the bootstrap.
    confidence : float
        Fraction of the resamples in which the gain reaches the margin.
    """

    value: float
    low: float
    high: float
    confidence: float


class Decision(Result):
    """The gate's decision, with its reasons and the thresholds that it checked."""

    accepted: bool
    reasons: tuple[Reason, ...]
    thresholds: tuple[ThresholdResult, ...]
    gain: Gain | None


class Evaluation(Result):
    """The result of `mlops evaluate`: the challenger beside the champion, and the decision.

    Attributes
    ----------
    run_id, data_digest :
        Of the challenger's training.
    classes : tuple
        Sorted.
    positive :
        The class to detect; None with more than two classes.
    threshold : float or None
        As in `Training`.
    rows : int
        Number of holdout rows.
    champion : int or None
        The champion's version.
    champion_metrics : dict or None
        None where there is no champion, or it was not scored.
    """

    schema_version: Literal[1] = 1
    run_id: str
    data_digest: str
    classes: tuple[Label, ...]
    positive: Label | None
    threshold: float | None
    rows: int
    metrics: Metrics
    slices: tuple[SliceMetrics, ...]
    champion: int | None
    champion_metrics: Metrics | None
    decision: Decision


class Registration(Result):
    """The result of `mlops register`."""

    schema_version: Literal[1] = 1
    name: str
    version: int
    run_id: str


R = TypeVar("R", bound=Result)


def write_result(path: Path, result: Result) -> None:
    """Write a result in one step: a reader sees the old file or the new one, never a part."""
    write_text(path, result.model_dump_json(indent=2) + "\n")


def read_result(path: Path, kind: type[R], verb: str) -> R:
    """Read a result that ``verb`` wrote.

    Raises
    ------
    ConfigError
        The file is missing, damaged or of another version; the fix names the verb to run.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.", f"Run `mlops {verb}` first.") from None
    except ValidationError as error:
        text = _reason(error)
        raise ConfigError(f"{path} cannot be read: {text}", f"Run `mlops {verb}` again.") from None


def _reason(error: ValidationError) -> str:
    first: Any = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field}: {first['msg']}." if field else f"{first['msg']}."
