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
    from mlops.model.registry import Version
    from mlops.release.platform import Platform
    from mlops.release.release import Release

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


on_option = click.option(
    "--on",
    type=click.Choice(["local", "azureml"]),
    default="local",
    envvar="MLOPS_ON",
    show_envvar=True,
    help="This machine, or the workspaces of Azure ML (default: local).",
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
@on_option
@click.option("--wait/--no-wait", default=True, help="On Azure: follow the job to its end.")
@click.option("--job", metavar="NAME", help="On Azure: follow this job, submit none.")
@click.option("--schedule", is_flag=True, help="On Azure: repeat it as azureml/schedule.yml says.")
@click.pass_obj
def run(
    obj: dict[str, Any],
    data: Path | None,
    replace: str,
    on: str,
    wait: bool,
    job: str | None,
    schedule: bool,
) -> None:
    """Validate, train, evaluate, register and report, in this order.

    The last line says `registered=VERSION` or `registered=none reason=CODE` for programs; with
    --no-wait it is `job=NAME`.
    """
    if on == "azureml":
        _run_on_azure(_project(obj), data, replace, wait, job, schedule)
        return
    if job or schedule or not wait:
        raise ConfigError("--no-wait, --job and --schedule are for Azure.", "Add --on azureml.")
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
    _say_registered(project, version.number if version else None)


@main.command()
@click.argument("environment", type=click.Choice(ENVIRONMENTS))
@click.option("--version", "number", type=int, help="A registered version (default: the newest).")
@click.option("--yes", is_flag=True, help="Approve production without being asked.")
@on_option
@click.pass_obj
def deploy(obj: dict[str, Any], environment: str, number: int | None, yes: bool, on: str) -> None:
    """Bring a registered version into one environment.

    It gets the idle slot, answers rows with known answers, and then takes over the traffic in
    steps. If anything fails, the endpoint goes back to what it served before.
    """
    project = _project(obj)
    place = _place(project, on)
    _deploy(project, place, environment, _chosen(place, number), yes)


@main.command()
@click.option("--version", "number", type=int, help="A registered version (default: the newest).")
@click.option("--yes", is_flag=True, help="Approve production without being asked.")
@on_option
@click.pass_obj
def release(obj: dict[str, Any], number: int | None, yes: bool, on: str) -> None:
    """Bring a registered version to staging and, once approved, to production."""
    project = _project(obj)
    place = _place(project, on)
    version = _chosen(place, number)
    for environment in ENVIRONMENTS:
        place.target(environment)  # what cannot be reached should be known before anything changes
    for environment in ENVIRONMENTS:
        click.secho(environment.capitalize(), bold=True)
        _deploy(project, place, environment, version, yes)


@main.command()
@on_option
@click.pass_obj
def rollback(obj: dict[str, Any], on: str) -> None:
    """Take production back to the version before, and withdraw the present one."""
    project = _project(obj)
    place = _place(project, on)
    before = _releaser(project, place, "production").roll_back()
    place.after_release(before, "production", _tell)
    click.echo(f"Production is back at version {before.number}.")


@main.command()
@on_option
@click.pass_obj
def status(obj: dict[str, Any], on: str) -> None:
    """Show the registered versions, and what each environment serves."""
    from mlops.tables import show_status

    place = _place(_project(obj), on)
    targets = {name: place.target(name) for name in ENVIRONMENTS}
    states = {name: target.describe() for name, target in targets.items()}
    addresses = {name: target.address for name, target in targets.items()}
    show_status(place.registry("staging").versions(), states, addresses)


@main.command()
@click.argument("environment", type=click.Choice(ENVIRONMENTS), required=False)
@click.pass_obj
def stop(obj: dict[str, Any], environment: str | None) -> None:
    """Stop the local servers of one environment, or of both."""
    from mlops.release.platform import LocalPlatform

    project = _project(obj)
    for name in [environment] if environment else ENVIRONMENTS:
        stopped = LocalPlatform(project).target(name).stop()
        click.echo(f"{name.capitalize()}: {'stopped' if stopped else 'nothing to stop'}.")


@main.command()
@click.option("--offline", is_flag=True, help="Do not look for the workspaces: ask Azure nothing.")
@click.pass_obj
def doctor(obj: dict[str, Any], offline: bool) -> None:
    """Look for mistakes in azureml/ and project.yml, and for the workspaces on Azure.

    Exits with 1 if there is a mistake.
    """
    from mlops.azure.doctor import check_project

    project = _project(obj)
    findings = check_project(project)
    for finding in findings:
        click.echo(str(finding))
    if findings:
        count = "1 mistake" if len(findings) == 1 else f"{len(findings)} mistakes"
        raise MlopsError(f"{count} in what Azure ML is asked for.", "Mend the lines above.")
    click.echo("No mistakes in azureml/ and project.yml.")
    if not offline:
        from mlops.azure.workspace import connect

        for environment in ENVIRONMENTS:
            workspace = connect(project, environment).workspace_name
            click.echo(f"{environment.capitalize()}: the workspace {workspace} is there.")


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
    from mlops.data.validation import validate_rows
    from mlops.tables import show_failed

    suites = project.root / "expectations"
    columns = [str(column) for column in raw.frame]
    inputs = [column for column in columns if column != project.data.target]
    wanted = {suites / "scoring.json": inputs}
    if not scoring:
        wanted = {suites / "raw.json": columns, **wanted}
    folder = project.outputs / ("validation-scoring" if scoring else "validation")
    validation = validate_rows(raw, wanted, folder)
    if not validation.passed:
        show_failed(validation)
        raise DataError(
            f"The data fails {len(validation.failed)} of {len(validation.expectations)} "
            f"expectations; see {folder / 'validation.html'}.",
            "Correct the data, or change expectations/ if the data is right.",
        )
    click.echo(f"All {len(validation.expectations)} expectations hold.")


def _require_validated(project: Project, raw: RawData) -> None:
    from mlops.data.validation import require_passed
    from mlops.results import Validation, read_result

    file = project.outputs / "validation" / "validation.json"
    require_passed(read_result(file, Validation, "validate"), raw.digest)


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
    from mlops.evaluation.evaluate import evaluate as score_and_decide
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
    from mlops.model.registration import register as register_winner

    decision = _output(project, "evaluation", "decision.json", "evaluate")
    training = _output(project, "training", "training.json", "train")
    version = register_winner(decision, training, project, project.outputs / "registration")
    click.echo(f"Registered as {version.name} version {version.number}.")
    return version


def _report(project: Project, raw: RawData, dataset: Dataset) -> None:
    from mlops.evaluation.report import write_report

    decision = _output(project, "evaluation", "decision.json", "evaluate")
    training = _output(project, "training", "training.json", "train")
    if decision["data_digest"] != raw.digest:
        raise ConfigError("The model was evaluated on other data.", "Run `mlops evaluate`.")
    page = write_report(decision, training, dataset, project)
    click.echo(f"Report: {page}")


def _output(project: Project, folder: str, name: str, verb: str) -> dict[str, Any]:
    from mlops.outputs import read_json

    return read_json(project.outputs / folder / name, verb)


def _say_registered(project: Project, number: int | None) -> None:
    """The last line of a run; ends with 3 if the gate refused the model."""
    if number is None:
        reasons = _output(project, "evaluation", "decision.json", "evaluate")["decision"]["reasons"]
        click.echo(f"registered=none reason={reasons[0]['code']}")
        sys.exit(3)
    click.echo(f"registered={number}")


def _run_on_azure(
    project: Project,
    data: Path | None,
    replace: str,
    wait: bool,
    job: str | None,
    schedule: bool,
) -> None:
    from mlops.azure import pipeline
    from mlops.azure.workspace import connect

    client = connect(project, "staging")
    if schedule:
        click.echo(f"Scheduled as {pipeline.schedule(project, client)}.")
        return
    if job is None:
        submitted = pipeline.submit(project, client, data.resolve() if data else None, replace)
        job = str(submitted.name)
        click.echo(f"Submitted: {submitted.studio_url}")
    if not wait:
        click.echo(f"job={job}")
        return
    pipeline.follow(client, job)
    pipeline.fetch(project, client, job)
    for reason in _output(project, "evaluation", "decision.json", "run")["decision"]["reasons"]:
        click.echo(f"Gate: {reason['code']}: {reason['text']}")
    registered = project.outputs / "registration" / "registration.json"
    number = None
    if registered.is_file():
        number = int(_output(project, "registration", "registration.json", "run")["version"])
    click.echo(f"Report: {project.outputs / 'report' / 'report.html'}")
    _say_registered(project, number)


def _place(project: Project, on: str) -> Platform:
    from mlops.azure.platform import AzurePlatform
    from mlops.release.platform import LocalPlatform

    return AzurePlatform(project) if on == "azureml" else LocalPlatform(project)


def _chosen(place: Platform, number: int | None) -> Version:
    registry = place.registry("staging")
    version = registry.champion() if number is None else registry.version(number)
    if version is None:
        raise ConfigError("No version is registered.", "Run `mlops run` first.")
    return version


def _deploy(
    project: Project, place: Platform, environment: str, version: Version, yes: bool
) -> None:
    if environment == "production":
        _approve(version, yes)
    releaser = _releaser(project, place, environment)
    version = place.promote(version, environment, _tell)
    releaser.deploy(version)
    place.after_release(version, environment, _tell)
    address = place.target(environment).address
    click.echo(f"Version {version.number} is in {environment}: {address}")


def _approve(version: Version, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("Production needs an approval.", "Add --yes to give it in a script.")
    click.confirm(f"Release version {version.number} to production?", abort=True)


def _releaser(project: Project, place: Platform, environment: str) -> Release:
    from mlops.release.release import Release

    endpoint = getattr(project.serving, environment)
    target, registry = place.target(environment), place.registry(environment)
    return Release(environment, endpoint, target, registry, _tell)


def _tell(text: str) -> None:
    click.echo(f"  {text}")


def _step(number: int, name: str) -> None:
    click.secho(f"[{number}/5] {name}", bold=True)
