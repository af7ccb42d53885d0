"""The lifecycle as plain functions, for the command line and for notebooks.

Data flows one way: `read` and `validate` the rows, `split` them, `train`, `evaluate` against the
champion, `register` the winner, `report`; `run` does all of it. `release` brings a registered
version to staging and production. Each function writes its result below outputs/ and returns it;
`last` reads the result of an earlier call back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from mlops.config import ENVIRONMENTS, Environment, Project
from mlops.config import load_project as load_project
from mlops.errors import ConfigError, DataError, Refused, ReleaseError
from mlops.results import (
    Candidate,
    Evaluation,
    Registration,
    S,
    Scored,
    Stored,
    Training,
    Validation,
    read_result,
    write_result,
)

if TYPE_CHECKING:
    from mlops.data.dataset import Dataset, RawData
    from mlops.model.history import History
    from mlops.model.registry import Version
    from mlops.release.target import Platform

Where = Literal["local", "azureml"]

# The folder of each result, below outputs/.
FOLDERS: Final[dict[type[Stored], str]] = {
    Validation: "validation",
    Training: "training",
    Evaluation: "evaluation",
    Registration: "registration",
    Candidate: "search",
}


class Progress:
    """Follow `run` and `release`: the steps, what happens in them, and their results."""

    def step(self, name: str) -> None: ...

    def tell(self, text: str) -> None: ...

    def show(self, result: object) -> None: ...


@dataclass(frozen=True)
class Run:
    """The results of `run`; ``registration`` is None if the gate refused the model."""

    validation: Validation
    training: Training
    evaluation: Evaluation
    registration: Registration | None
    report: Path


@dataclass(frozen=True)
class Deployment:
    """A version in service, and where clients send their rows."""

    version: int
    environment: Environment
    address: str


def last(project: Project, kind: type[S]) -> S:
    """Read the last result of a kind, such as `Training`."""
    return read_result(_folder(project, kind), kind)


def read(project: Project, data: Path | None = None) -> RawData:
    """Read the rows with the project's load(), from ``data`` or data.path of project.yml."""
    from mlops.data.dataset import read_rows
    from mlops.science import find_science

    return read_rows(data or project.data_path, find_science(project).load)


def validate(project: Project, rows: RawData, *, scoring: bool = False) -> Validation:
    """Check rows against expectations/; with ``scoring`` they are inputs without a target."""
    from mlops.data.table import check_settings
    from mlops.data.validation import validate_rows

    if not scoring:  # before the expectations take their time
        check_settings(rows.frame, project, rows.source.name, validated=False)
    folder = project.root / "expectations"
    columns = [str(column) for column in rows.frame]
    not_inputs = {project.data.target, *project.data.ids}
    suites = {folder / "scoring.json": [c for c in columns if c not in not_inputs]}
    if not scoring:
        suites = {folder / "raw.json": columns, **suites}
    return validate_rows(rows, suites, _validation_folder(project, scoring))


def require_passed(project: Project, validation: Validation, *, scoring: bool = False) -> None:
    """Raise `DataError` if the data failed an expectation."""
    if not validation.passed:
        page = _validation_folder(project, scoring) / "validation.html"
        raise DataError(
            f"The data fails {len(validation.failed)} of {len(validation.expectations)} "
            f"expectations; see {page}.",
            "Fix the data, or change expectations/ if the data is right.",
        )


def split(project: Project, rows: RawData) -> Dataset:
    """Separate the target from the features, and training from holdout."""
    from mlops.data.dataset import split_rows

    return split_rows(rows, project)


def train(
    project: Project,
    dataset: Dataset,
    validation: Validation,
    tell: Callable[[str], None] = print,
    origin: str = "",
) -> Training:
    """Fit the model on validated data and log it to MLflow; unchanged inputs reuse the last run.

    ``origin`` is recorded as where the rows came from; by default data.path of project.yml.
    """
    from mlops.evaluation.caveats import check_class_counts
    from mlops.model import training
    from mlops.science import find_science

    _require_validated(project, dataset, validation)
    for warning in dataset.warnings:
        tell(warning)
    for note in check_class_counts(dataset):
        tell(f"Note ({note.code}): {note.text}")
    folder = _folder(project, Training)
    origin = origin or project.data.path.as_posix()
    return training.train(dataset, project, find_science(project), folder, tell, origin)


def load_model(project: Project, training: Training) -> Any:
    """Load the fitted classifier of a training."""
    from mlops.model.registry import load_run_model

    return load_run_model(project, training.run_id, training.model_digest).model


def evaluate(
    project: Project, dataset: Dataset, training: Training, replace: str = "", accept: str = ""
) -> Evaluation:
    """Compare the trained model with the champion on the holdout, and let the gate decide.

    Parameters
    ----------
    replace : str
        Why the champion is to be replaced without a comparison; "" compares.
    accept : str
        Why a change of the data is accepted; "" stops at one.
    """
    from mlops.evaluation.evaluate import evaluate as score_and_decide

    if training.data_digest != dataset.digest:
        raise ConfigError("The model was trained on other data.", "Run `mlops train`.")
    folder = _folder(project, Evaluation)
    return score_and_decide(dataset, training, project, folder, replace, accept)


def register(project: Project, training: Training, evaluation: Evaluation) -> Registration:
    """Register the model if the gate accepted it; registering it again returns its version."""
    from mlops.model import tags
    from mlops.model.registry import Registry

    _require_same_model(training, evaluation)
    decision = evaluation.decision
    if not decision.accepted:
        raise Refused("Not registered: " + " ".join(reason.text for reason in decision.reasons))
    scores = {name: score for name, score in evaluation.metrics.items() if score is not None}
    version = Registry(project).register(
        training.run_id,
        {
            tags.MODEL_DIGEST: training.model_digest,
            tags.DATA_DIGEST: training.data_digest,
            tags.DECISION: ", ".join(reason.code for reason in decision.reasons),
            **{f"{tags.FIGURE}.{name}": f"{score:.6f}" for name, score in scores.items()},
        },
    )
    registration = Registration(name=version.name, version=version.number, run_id=training.run_id)
    write_result(_folder(project, Registration), registration)
    return registration


def report(project: Project, dataset: Dataset, training: Training, evaluation: Evaluation) -> Path:
    """Write the report as HTML, Markdown and a model card; return the page's path."""
    from mlops.evaluation.report import write_report

    _require_same_model(training, evaluation)
    if evaluation.data_digest != dataset.digest:
        raise ConfigError("The model was evaluated on other data.", "Run `mlops evaluate`.")
    return write_report(evaluation, training, _registration(project, training), dataset, project)


def run(
    project: Project,
    data: Path | None = None,
    replace: str = "",
    progress: Progress | None = None,
    accept: str = "",
) -> Run:
    """Validate, train, evaluate, register and report, in this order."""
    progress = progress or Progress()
    rows = read(project, data)
    progress.show(rows)
    progress.step("validate")
    validation = validate(project, rows)
    progress.show(validation)
    require_passed(project, validation)
    progress.step("train")
    dataset = split(project, rows)
    training = train(project, dataset, validation, progress.tell, str(data or ""))
    progress.show(training)
    progress.step("evaluate")
    evaluation = evaluate(project, dataset, training, replace, accept)
    progress.show(evaluation)
    progress.step("register")
    accepted = evaluation.decision.accepted
    registration = register(project, training, evaluation) if accepted else None
    progress.show(registration)
    progress.step("report")
    page = report(project, dataset, training, evaluation)
    progress.show(page)
    return Run(validation, training, evaluation, registration, page)


def last_run(project: Project) -> Run:
    """Read the results of the last `run`, on this machine or fetched from Azure ML."""
    training = last(project, Training)
    return Run(
        last(project, Validation),
        training,
        last(project, Evaluation),
        _registration(project, training),
        project.outputs / "report" / "report.html",
    )


def try_candidate(
    project: Project, dataset: Dataset, validation: Validation, number: int
) -> Candidate:
    """Score one candidate of model.search, as a trial of azureml/search-pipeline.yml does."""
    from mlops.model import search, training
    from mlops.science import find_science

    _require_validated(project, dataset, validation)
    pipeline = training.make_pipeline(dataset, project, find_science(project))
    candidate = search.try_candidate(
        number, pipeline, dataset, project, training.training_key(project, dataset.digest)
    )
    write_result(_folder(project, Candidate), candidate)
    return candidate


def platform(project: Project, on: Where = "local") -> Platform:
    """Return where versions are registered and served: this machine, or Azure ML's workspaces."""
    if on == "azureml":
        from mlops.azure.platform import AzurePlatform

        return AzurePlatform(project)
    from mlops.release.local import LocalPlatform

    return LocalPlatform(project)


def choose_version(platform: Platform, number: int | None = None) -> Version:
    """Return a registered version by its number; by default the champion."""
    registry = platform.registry("staging")
    version = registry.champion() if number is None else registry.version(number)
    if version is None:
        raise ConfigError("No version is registered.", "Run `mlops run` first.")
    return version


def waiting(platform: Platform) -> Version | None:
    """Return the newest accepted version that was never served, if production's is older."""
    for version in reversed(platform.registry("staging").versions()):
        if version.is_in_production:
            return None
        if version.is_decided and version.is_new:
            return version
    return None


def require_newer(platform: Platform, version: Version) -> None:
    """Raise `ReleaseError` if production serves a newer version, which this would take away."""
    serving = platform.registry("staging").in_production()
    if serving and version.number < serving.number:
        raise ReleaseError(
            f"Production already serves version {serving.number}, which is newer than version "
            f"{version.number}. Nothing was deployed.",
            "Reject approvals that are out of date. To go back, use `mlops rollback`, or start "
            f"the release of version {version.number} by hand.",
        )


def deploy(
    project: Project,
    platform: Platform,
    environment: Environment,
    version: Version,
    tell: Callable[[str], None] = print,
    approved: str = "",
    wait: bool = True,
) -> Deployment:
    """Bring a registered version into one environment.

    Parameters
    ----------
    approved : str
        By whom and how, for the history; by default the user's name.
    wait : bool
        Whether to wait for another release in the environment, instead of raising `OtherRelease`.

    Raises
    ------
    ReleaseError
        It failed its checks; the endpoint serves what it served before.
    """
    from mlops.model.history import approver
    from mlops.release.release import Release

    registry, target = platform.registry(environment), platform.target(environment)
    by = approved or approver("")
    releaser = Release(environment, project, target, registry, tell, by, wait)
    version = platform.promote(version, environment, tell)
    releaser.deploy(version)
    platform.after_release(version, environment, tell)
    return Deployment(version.number, environment, target.address)


def release(
    project: Project,
    platform: Platform,
    version: Version,
    approve: Callable[[Version], str],
    progress: Progress | None = None,
    wait: bool = True,
) -> None:
    """Bring a registered version to staging and, once approved, to production.

    Parameters
    ----------
    approve : callable
        Called before production; returns by whom and how it was approved, or raises to stop there.
    """
    progress = progress or Progress()
    for environment in ENVIRONMENTS:
        platform.target(environment)  # an unusable target is reported before anything changes
    for environment in ENVIRONMENTS:
        progress.step(environment)
        approved = approve(version) if environment == "production" else ""
        progress.show(
            deploy(project, platform, environment, version, progress.tell, approved, wait)
        )


def rollback(
    project: Project,
    platform: Platform,
    tell: Callable[[str], None] = print,
    wait: bool = True,
) -> Version:
    """Return production to the version before, and withdraw the present one."""
    from mlops.model.history import approver
    from mlops.release.release import Release

    registry, target = platform.registry("production"), platform.target("production")
    releaser = Release("production", project, target, registry, tell, approver("rollback"), wait)
    version = releaser.roll_back()
    platform.after_release(version, "production", tell)
    return version


def served(platform: Platform, environment: Environment) -> Version:
    """Return the version that an environment serves.

    Raises
    ------
    ConfigError
        It serves none.
    """
    state = platform.target(environment).describe()
    if state.live is None:
        raise ConfigError(
            f"{environment.capitalize()} serves no version.", f"Run `mlops deploy {environment}`."
        )
    return platform.registry(environment).version(state.slots[state.live].version)


def score(project: Project, rows: Path, out: Path, model: Path, digest: str) -> Iterator[Scored]:
    """Score a file of rows, or all files of a folder; yield the count of each.

    Parameters
    ----------
    model : Path
        The folder of a registered version's files, such as ``Registry.download`` returns.
    digest : str
        Its registered digest: no other files are loaded.
    """
    from mlops.model.loading import trust
    from mlops.serving.batch import score_files

    return score_files(rows, out, model, trust(project, digest))


def history(platform: Platform) -> dict[Environment, History]:
    """Return what each environment served when, and whether the record of it was changed."""
    from mlops.model.history import read_history

    return {name: read_history(platform.registry(name), name) for name in ENVIRONMENTS}


def _folder(project: Project, kind: type[Stored]) -> Path:
    return project.outputs / FOLDERS[kind]


def _validation_folder(project: Project, scoring: bool) -> Path:
    return project.outputs / "validation-scoring" if scoring else _folder(project, Validation)


def _require_validated(project: Project, dataset: Dataset, validation: Validation) -> None:
    if validation.data_digest != dataset.digest:
        raise DataError("The data has changed since it was validated.", "Run `mlops validate`.")
    require_passed(project, validation)


def _require_same_model(training: Training, evaluation: Evaluation) -> None:
    if training.run_id != evaluation.run_id:
        raise ConfigError("The evaluation is about an earlier model.", "Run `mlops evaluate`.")


def _registration(project: Project, training: Training) -> Registration | None:
    """Return the registration of this training's model, if it is registered."""
    if not (_folder(project, Registration) / Registration.file).is_file():
        return None
    registration = last(project, Registration)
    return registration if registration.run_id == training.run_id else None
