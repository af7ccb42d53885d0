"""The command line: one verb for each step of a model's life.

Imports that take seconds happen inside the verb that needs them, so ``mlops --help`` is instant.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlops.errors import ConfigError, DataError, MlopsError

if TYPE_CHECKING:
    from mlops.config import Project
    from mlops.data.dataset import Dataset, RawData
    from mlops.deploy.release import Release
    from mlops.model.registry import Version

ENVIRONMENTS = ("staging", "production")


class Verbs(click.Group):
    """Shows a `MlopsError` as its message and fix, without a traceback, and exits by its code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of the lifecycle

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MlopsError as error:
            if ctx.obj and ctx.obj.get("debug"):
                raise
            click.secho(f"Error: {error}", fg="red", err=True)
            if error.fix:
                click.echo(f"Fix: {error.fix}", err=True)
            sys.exit(error.exit_code)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong use or settings, 3 the gate refused the model.",
)
@click.option(
    "--project",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    help="The project's folder, or one below it (default: where you are).",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def main(context: click.Context, folder: Path, debug: bool) -> None:
    """The life of a classification model, one verb for each step.

    `mlops run` does validate, train, evaluate, register and report; `mlops release` brings the
    registered version to staging and production.
    """
    gc.set_threshold(100_000, 20, 100)  # collecting is a fifth of the time of the large imports
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console or pipe may not be UTF-8
            stream.reconfigure(encoding="utf-8")
    context.obj = {"folder": folder, "debug": debug}


data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The rows to use (default: data.path of project.yml).",
)


replace_option = click.option(
    "--replace-champion",
    "replace",
    metavar="WHY",
    default="",
    help="Do not compare with the champion; the reason is kept with the decision.",
)


@main.command()
@data_option
@click.option("--scoring", is_flag=True, help="The rows are inputs to score, without a target.")
@click.pass_obj
def validate(obj: dict[str, Any], data: Path | None, scoring: bool) -> None:
    """Check the data against expectations/.

    Exits with 1 if the data breaks an expectation; nothing can be trained from it then.
    """
    project = _project(obj)
    _validate(project, _read(project, data), scoring)


@main.command()
@data_option
@click.pass_obj
def train(obj: dict[str, Any], data: Path | None) -> None:
    """Fit the model on validated data.

    If data, settings, code and libraries are those of the last training, its model is kept.
    """
    project = _project(obj)
    raw = _read(project, data)
    _require_validated(project, raw)
    _train(project, raw, _split(project, raw))


@main.command()
@data_option
@replace_option
@click.pass_obj
def evaluate(obj: dict[str, Any], data: Path | None, replace: str) -> None:
    """Compare the trained model with the champion, and let the gate decide.

    Exits with 3 if the gate refuses the model.
    """
    project = _project(obj)
    raw = _read(project, data)
    accepted = _evaluate(project, raw, _split(project, raw), replace)
    sys.exit(0 if accepted else 3)


@main.command()
@click.pass_obj
def register(obj: dict[str, Any]) -> None:
    """Register the model that the gate accepted.

    Exits with 3 if it refused. Registering the same model again changes nothing.
    """
    _register(_project(obj))


@main.command()
@data_option
@click.pass_obj
def report(obj: dict[str, Any], data: Path | None) -> None:
    """Write the report of the last evaluation: HTML, Markdown, and a model card."""
    project = _project(obj)
    raw = _read(project, data)
    _report(project, raw, _split(project, raw))


@main.command()
@data_option
@replace_option
@click.pass_obj
def run(obj: dict[str, Any], data: Path | None, replace: str) -> None:
    """Validate, train, evaluate, register and report, in this order.

    The last line says `registered=VERSION` or `registered=none reason=CODE` for programs.
    """
    project = _project(obj)
    raw = _read(project, data)
    _step(1, "validate")
    _validate(project, raw, scoring=False)
    _step(2, "train")
    dataset = _split(project, raw)
    _train(project, raw, dataset)
    _step(3, "evaluate")
    accepted = _evaluate(project, raw, dataset, replace)
    _step(4, "register")
    version = _register(project) if accepted else None
    if version is None:
        click.echo("Nothing is registered.")
    _step(5, "report")
    _report(project, raw, dataset)
    if version is None:
        reasons = _output(project, "evaluation", "decision.json", "evaluate")["decision"]["reasons"]
        click.echo(f"registered=none reason={reasons[0]['code']}")
        sys.exit(3)
    click.echo(f"registered={version.number}")


@main.command()
@click.argument("environment", type=click.Choice(ENVIRONMENTS))
@click.option("--version", "number", type=int, help="A registered version (default: the newest).")
@click.option("--yes", is_flag=True, help="Approve production without being asked.")
@click.pass_obj
def deploy(obj: dict[str, Any], environment: str, number: int | None, yes: bool) -> None:
    """Bring a registered version into one environment.

    It gets the idle slot, answers rows with known answers, and then takes over the traffic in
    steps. If anything fails, the endpoint goes back to what it served before.
    """
    project = _project(obj)
    version = _chosen(project, number)
    if environment == "production":
        _approve(version, yes)
    _releaser(project, environment).deploy(version)
    address = _target(project, environment).address
    click.echo(f"Version {version.number} is in {environment}: {address}")


@main.command()
@click.option("--version", "number", type=int, help="A registered version (default: the newest).")
@click.option("--yes", is_flag=True, help="Approve production without being asked.")
@click.pass_obj
def release(obj: dict[str, Any], number: int | None, yes: bool) -> None:
    """Bring a registered version to staging and, once approved, to production."""
    project = _project(obj)
    version = _chosen(project, number)
    for environment in ENVIRONMENTS:
        click.secho(environment.capitalize(), bold=True)
        if environment == "production":
            _approve(version, yes)
            version = _chosen(project, version.number)
        _releaser(project, environment).deploy(version)
    address = _target(project, "production").address
    click.echo(f"Version {version.number} is in production: {address}")


@main.command()
@click.pass_obj
def rollback(obj: dict[str, Any]) -> None:
    """Take production back to the version before, and withdraw the present one."""
    project = _project(obj)
    before = _releaser(project, "production").roll_back()
    click.echo(f"Production is back at version {before.number}.")


@main.command()
@click.pass_obj
def status(obj: dict[str, Any]) -> None:
    """Show the registered versions, and what each environment serves."""
    from mlops.model.registry import Registry
    from mlops.tables import show_status

    project = _project(obj)
    states = {name: _target(project, name).describe() for name in ENVIRONMENTS}
    addresses = {name: _target(project, name).address for name in ENVIRONMENTS}
    show_status(Registry(project).versions(), states, addresses)


@main.command()
@click.argument("environment", type=click.Choice(ENVIRONMENTS), required=False)
@click.pass_obj
def stop(obj: dict[str, Any], environment: str | None) -> None:
    """Stop the local servers of one environment, or of both."""
    project = _project(obj)
    for name in [environment] if environment else ENVIRONMENTS:
        stopped = _target(project, name).stop()
        click.echo(f"{name.capitalize()}: {'stopped' if stopped else 'nothing to stop'}.")


@main.command(hidden=True)
@data_option
@click.option("--candidate", "number", type=int, required=True, help="Its number, from 0.")
@click.pass_obj
def search(obj: dict[str, Any], data: Path | None, number: int) -> None:
    """Score one candidate of model.search: a trial of azureml/search-pipeline.yml."""
    from mlops.model.search import try_candidate
    from mlops.model.training import make_pipeline, training_key
    from mlops.science import find_science

    project = _project(obj)
    raw = _read(project, data)
    _require_validated(project, raw)
    dataset = _split(project, raw)
    pipeline = make_pipeline(dataset, project, find_science(project))
    key = training_key(project, raw.digest)
    folder = project.outputs / "search"
    try_candidate(number, pipeline, dataset, project, key, folder, click.echo)


def _project(obj: dict[str, Any]) -> Project:
    from mlops.config import load_project

    return load_project(obj["folder"])


def _read(project: Project, data: Path | None) -> RawData:
    from mlops.data.dataset import read_rows
    from mlops.science import find_science

    raw = read_rows(data.resolve() if data else project.data_path, find_science(project).load)
    rows, columns = raw.frame.shape
    click.echo(f"Read {rows:,} rows of {columns} columns from {raw.source.name}.")
    return raw


def _validate(project: Project, raw: RawData, scoring: bool) -> None:
    from mlops.data.validation import save_validation, validate_rows
    from mlops.tables import show_breaches

    suites = project.root / "expectations"
    columns = [str(column) for column in raw.frame]
    inputs = [column for column in columns if column != project.data.target]
    wanted = {str(suites / "scoring.json"): inputs}
    if not scoring:
        wanted = {str(suites / "raw.json"): columns, **wanted}
    validation = validate_rows(raw.frame, raw.digest, wanted)
    folder = project.outputs / ("validation-scoring" if scoring else "validation")
    save_validation(validation, folder)
    if not validation.passed:
        show_breaches(validation)
        raise DataError(
            f"The data breaks {len(validation.breaches)} of {validation.expectations} "
            f"expectations; see {folder / 'validation.html'}.",
            "Mend the data, or change expectations/ if the data is right.",
        )
    click.echo(f"All {validation.expectations} expectations hold.")


def _require_validated(project: Project, raw: RawData) -> None:
    from mlops.data.validation import require_passed

    require_passed(_output(project, "validation", "validation.json", "validate"), raw.digest)


def _split(project: Project, raw: RawData) -> Dataset:
    from mlops.data.dataset import split_rows

    return split_rows(raw, project)


def _train(project: Project, raw: RawData, dataset: Dataset) -> None:
    from mlops.model.training import train as fit_and_log
    from mlops.science import find_science

    folder = project.outputs / "training"
    training = fit_and_log(dataset, raw.digest, project, find_science(project), folder, click.echo)
    chosen = "" if training.threshold is None else f", threshold {training.threshold:.3f}"
    click.echo(f"{project.model.estimator} from {training.rows:,} rows{chosen}.")


def _evaluate(project: Project, raw: RawData, dataset: Dataset, replace: str) -> bool:
    from mlops.decision.evaluation import evaluate as score_and_decide
    from mlops.model.training import Training
    from mlops.tables import show_evaluation

    training = Training(**_output(project, "training", "training.json", "train"))
    if training.data_digest != raw.digest:
        raise ConfigError("The model was trained on other data.", "Run `mlops train`.")
    folder = project.outputs / "evaluation"
    evaluation = score_and_decide(dataset, training, project, folder, replace)
    show_evaluation(evaluation, project.gate.metric)
    return evaluation.decision.accepted


def _register(project: Project) -> Version:
    from mlops.decision.registration import register as register_winner

    decision = _output(project, "evaluation", "decision.json", "evaluate")
    training = _output(project, "training", "training.json", "train")
    version = register_winner(decision, training, project, project.outputs / "registration")
    click.echo(f"Registered as {version.name} version {version.number}.")
    return version


def _report(project: Project, raw: RawData, dataset: Dataset) -> None:
    from mlops.decision.report import write_report

    decision = _output(project, "evaluation", "decision.json", "evaluate")
    training = _output(project, "training", "training.json", "train")
    if decision["data_digest"] != raw.digest:
        raise ConfigError("The model was evaluated on other data.", "Run `mlops evaluate`.")
    page = write_report(decision, training, dataset, project)
    click.echo(f"Report: {page}")


def _output(project: Project, folder: str, name: str, verb: str) -> dict[str, Any]:
    from mlops.outputs import read_json

    return read_json(project.outputs / folder / name, verb)


def _chosen(project: Project, number: int | None) -> Version:
    from mlops.model.registry import Registry

    registry = Registry(project)
    version = registry.champion() if number is None else registry.version(number)
    if version is None:
        raise ConfigError("No version is registered.", "Run `mlops run` first.")
    return version


def _approve(version: Version, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("Production needs an approval.", "Add --yes to give it in a script.")
    click.confirm(f"Release version {version.number} to production?", abort=True)


def _target(project: Project, environment: str) -> Any:
    from mlops.deploy.local import LocalTarget

    folder = project.root / ".mlops" / environment
    return LocalTarget(folder, project.project, getattr(project.serving, environment))


def _releaser(project: Project, environment: str) -> Release:
    from mlops.deploy.release import Release
    from mlops.model.registry import Registry

    def tell(text: str) -> None:
        click.echo(f"  {text}")

    endpoint = getattr(project.serving, environment)
    return Release(environment, endpoint, _target(project, environment), Registry(project), tell)


def _step(number: int, name: str) -> None:
    click.secho(f"[{number}/5] {name}", bold=True)
