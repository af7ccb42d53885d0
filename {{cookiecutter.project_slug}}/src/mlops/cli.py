"""The command line: one verb for each step of the lifecycle.

Only click, words and exit codes: the work is in `mlops.lifecycle`. Slow imports happen inside the
verb that needs them, so ``mlops --help`` is instant.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial, update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, TypeVar

import click

from mlops.errors import ConfigError, MlopsError, ReleaseError, explain

if TYPE_CHECKING:
    from mlops import lifecycle
    from mlops.azure.doctor import Finding
    from mlops.config import Environment, Project
    from mlops.data.dataset import RawData
    from mlops.lifecycle import Where
    from mlops.model.registry import Version
    from mlops.terminal import Form

P = ParamSpec("P")
R = TypeVar("R")

# As in mlops.config, whose import would slow --help.
ENVIRONMENTS: tuple[Environment, ...] = ("staging", "production")


class Verbs(click.Group):
    """Shows an error as its message and fix, without a traceback, and exits by its code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of the lifecycle

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            fail(error if isinstance(error, MlopsError) else explain(error))


def fail(error: MlopsError) -> NoReturn:
    """Show an error and its fix, and exit by its code."""
    from mlops import ci
    from mlops.ci.markdown import verbatim

    text = f"Error: {error}"
    click.secho(text, fg="red", err=True)
    if error.fix:
        fix = f"Fix: {error.fix}"
        click.echo(fix, err=True)
        text = f"{text}\n{fix}"
    ci.current().summary(verbatim(text))
    sys.exit(error.exit_code)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 the gate refused the model.",
)
@click.option(
    "--project",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    help="The project's folder or one below it (default: the current folder).",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def main(context: click.Context, folder: Path, debug: bool) -> None:
    """Run the lifecycle of a classification model, one verb per step.

    `mlops run` validates, trains, evaluates, registers and reports; `mlops release` brings the
    registered version to staging and production.
    """
    gc.set_threshold(100_000, 20, 100)  # the default costs a fifth of the large imports' time
    atexit.register(gc.freeze)  # or Python spends a second on objects that end with the process
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console or pipe may not be UTF-8
            stream.reconfigure(encoding="utf-8")
    context.obj = folder


def pass_project(verb: Callable[Concatenate[Project, P], R]) -> Callable[P, R]:
    """Read project.yml and pass it to a verb."""

    def with_project(*args: P.args, **kwargs: P.kwargs) -> R:
        from mlops.config import load_project

        return verb(load_project(click.get_current_context().obj), *args, **kwargs)

    return update_wrapper(with_project, verb)


wait_option = click.option(
    "--wait/--no-wait",
    default=True,
    help="If another command changes the same: wait for it (default), or end at once.",
)


def hold(project: Project, parts: Sequence[str], wait: bool) -> AbstractContextManager[None]:
    """Let no other command change the same until the block ends."""
    from mlops import lock

    context = click.get_current_context()
    words = context.command_path.removeprefix(context.find_root().command_path)
    command = f"mlops{words}"
    return lock.hold(project.root, parts, command, wait, lambda text: click.echo(text, err=True))


def change(*parts: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Pass the project to a verb that changes parts of it, one command at a time.

    Without ``parts`` the verb changes what it is given as environment, or both environments.
    """

    def decorate(verb: Callable[..., R]) -> Callable[..., R]:
        def alone(project: Project, /, wait: bool, **options: Any) -> R:
            named = options.get("environment")
            with hold(project, parts or ([named] if named else ENVIRONMENTS), wait):
                return verb(project, **options)

        return wait_option(update_wrapper(pass_project(alone), verb))

    return decorate


def _waits() -> bool:
    """Return whether the verb that runs may wait for others."""
    return bool(click.get_current_context().params["wait"])


data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The rows to use (default: data.path of project.yml).",
)
replace_option = click.option(
    "--replace-champion",
    "replace",
    metavar="REASON",
    default="",
    help="Skip the comparison with the champion; the reason is recorded with the decision.",
)
accept_option = click.option(
    "--accept-data-change",
    "accept",
    metavar="WHY",
    default="",
    help="Go on where the data has changed under the champion; WHY is recorded with the decision.",
)
on_option = click.option(
    "--on",
    type=click.Choice(["local", "azureml"]),
    default="local",
    envvar="MLOPS_ON",
    show_envvar=True,
    help="This machine, or the Azure ML workspaces (default: local).",
)
version_option = click.option(
    "--version",
    "number",
    type=int,
    envvar="MLOPS_VERSION",
    show_envvar=True,
    help="A registered version (default: the champion).",
)
yes_option = click.option("--yes", is_flag=True, help="Approve production without a prompt.")


def _read(project: Project, data: Path | None) -> RawData:
    from mlops import lifecycle, terminal

    rows = lifecycle.read(project, data)
    terminal.show(rows)
    return rows


@main.command()
@data_option
@click.option("--scoring", is_flag=True, help="The rows are inputs to score, without a target.")
@change("run")
def validate(project: Project, data: Path | None, scoring: bool) -> None:
    """Check the data against expectations/.

    Exits with 1 if the data fails an expectation; no model can be trained on it then.
    """
    from mlops import lifecycle, terminal

    rows = _read(project, data)
    validation = lifecycle.validate(project, rows, scoring=scoring)
    terminal.show(validation)
    lifecycle.require_passed(project, validation, scoring=scoring)


@main.command()
@data_option
@click.option("--origin", default="", hidden=True)  # of what a job has mounted at DATA
@change("run")
def train(project: Project, data: Path | None, origin: str) -> None:
    """Fit the model on validated data.

    Keeps the last model if data, settings, code and library versions are unchanged.
    """
    from mlops import lifecycle, results, terminal

    rows = _read(project, data)
    validation = lifecycle.last(project, results.Validation)
    lifecycle.require_passed(project, validation)
    dataset = lifecycle.split(project, rows)
    origin = origin or str(data or "")
    terminal.show(lifecycle.train(project, dataset, validation, terminal.say, origin))


@main.command()
@data_option
@replace_option
@accept_option
@change("run")
def evaluate(project: Project, data: Path | None, replace: str, accept: str) -> None:
    """Compare the trained model with the champion, and let the gate decide.

    Exits with 3 if the gate refuses the model.
    """
    from mlops import lifecycle, results, terminal

    rows = _read(project, data)
    training = lifecycle.last(project, results.Training)
    dataset = lifecycle.split(project, rows)
    evaluation = lifecycle.evaluate(project, dataset, training, replace, accept)
    terminal.show(evaluation)
    sys.exit(0 if evaluation.decision.accepted else 3)


@main.command()
@change("run")
def register(project: Project) -> None:
    """Register the model that the gate accepted.

    Exits with 3 if it was refused. Registering the same model again changes nothing.
    """
    from mlops import lifecycle, results, terminal

    evaluation = lifecycle.last(project, results.Evaluation)
    training = lifecycle.last(project, results.Training)
    terminal.show(lifecycle.register(project, training, evaluation))


@main.command()
@data_option
@change("run")
def report(project: Project, data: Path | None) -> None:
    """Write the report of the last evaluation: HTML, Markdown and a model card."""
    from mlops import lifecycle, results, terminal

    rows = _read(project, data)
    evaluation = lifecycle.last(project, results.Evaluation)
    training = lifecycle.last(project, results.Training)
    terminal.show(lifecycle.report(project, lifecycle.split(project, rows), training, evaluation))


@main.command()
@data_option
@replace_option
@accept_option
@on_option
@click.option(
    "--wait/--no-wait",
    default=True,
    help="Wait for another command on this project, and on Azure for the job (default).",
)
@click.option(
    "--job",
    metavar="NAME",
    envvar="MLOPS_JOB",
    show_envvar=True,
    help="On Azure: follow this job instead of submitting one.",
)
@click.option(
    "--minutes", type=click.IntRange(min=1), help="On Azure: stop following the job after these."
)
@click.option("--schedule", is_flag=True, help="On Azure: retrain as azureml/schedule.yml says.")
@pass_project
def run(
    project: Project,
    data: Path | None,
    replace: str,
    accept: str,
    on: Where,
    wait: bool,
    job: str | None,
    minutes: int | None,
    schedule: bool,
) -> None:
    """Validate, train, evaluate, register and report, in this order.

    The last line is `registered=VERSION` or `registered=none reason=CODE`, for scripts; with
    --no-wait, or if the job still runs after --minutes, it is `job=NAME`.
    """
    from mlops import lifecycle, terminal

    if on == "azureml":
        _run_on_azure(project, data, replace, accept, wait, job, minutes, schedule)
        return
    if job or minutes or schedule:
        raise ConfigError("--job, --minutes and --schedule need Azure.", "Add --on azureml.")
    with hold(project, ["run"], wait):
        _end_run(lifecycle.run(project, data, replace, terminal.Steps(5), accept))


def _run_on_azure(
    project: Project,
    data: Path | None,
    replace: str,
    accept: str,
    wait: bool,
    job: str | None,
    minutes: int | None,
    schedule: bool,
) -> None:
    from mlops import ci, lifecycle, terminal
    from mlops.azure import pipeline
    from mlops.azure.platform import AzurePlatform

    platform = AzurePlatform(project)
    client, images = platform.client("staging"), platform.images("staging")
    if schedule:
        click.echo(f"Scheduled as {pipeline.schedule(project, client, images)}.")
        return
    if job is None:
        rows = data.resolve() if data else None
        submitted = pipeline.submit(project, client, images, rows, replace, accept)
        job = str(submitted.name)
        click.echo(f"Submitted: {submitted.studio_url}")
    if not wait or not pipeline.follow(client, job, minutes):
        click.echo(f"job={job}")
        ci.current().output("job", job)
        return
    with hold(project, ["run"], wait):
        pipeline.fetch(project, client, job)
        finished = lifecycle.last_run(project)
    terminal.show_reasons(finished.evaluation.decision)
    terminal.show_caveats(finished.evaluation)
    click.echo(f"Report: {finished.report}")
    _end_run(finished)


def _end_run(finished: lifecycle.Run) -> None:
    """Print the line for scripts; exit with 3 if the gate refused the model."""
    from mlops import ci

    job = ci.current()
    job.summary(finished.report.with_suffix(".md").read_text(encoding="utf-8"))
    if finished.registration is None:
        reason = finished.evaluation.decision.reasons[0].code
        job.output("refused", reason)
        click.echo(f"registered=none reason={reason}")
        sys.exit(3)
    click.echo(f"registered={finished.registration.version}")
    job.output("version", str(finished.registration.version))


@main.command()
@click.argument("environment", type=click.Choice(ENVIRONMENTS))
@version_option
@yes_option
@on_option
@change()
def deploy(
    project: Project, environment: Environment, number: int | None, yes: bool, on: Where
) -> None:
    """Bring a registered version into one environment.

    It is deployed to the idle slot, smoke-tested, and takes over the traffic in steps. If
    anything fails, the endpoint returns to what it served before.
    """
    from mlops import ci, lifecycle, terminal

    platform = lifecycle.platform(project, on)
    version = lifecycle.choose_version(platform, number)
    in_production = environment == "production"
    if in_production and not ci.current().is_manual():
        lifecycle.require_newer(platform, version)
    approved = _approve(project, version, yes) if in_production else ""
    terminal.show(
        lifecycle.deploy(project, platform, environment, version, terminal.tell, approved, _waits())
    )


@main.command()
@version_option
@yes_option
@on_option
@change()
def release(project: Project, number: int | None, yes: bool, on: Where) -> None:
    """Bring a registered version to staging and, once approved, to production."""
    from mlops import lifecycle, terminal

    platform = lifecycle.platform(project, on)
    version = lifecycle.choose_version(platform, number)
    lifecycle.release(
        project, platform, version, lambda v: _approve(project, v, yes), terminal.Steps(), _waits()
    )


def _approve(project: Project, version: Version, yes: bool) -> str:
    """Get production's approval, in CI from the platform; return by whom and how."""
    from mlops import ci
    from mlops.model.history import approver

    if yes:
        return approver("--yes")
    job = ci.current()
    if job.in_ci or not sys.stdin.isatty():
        return job.approver("production", project.serving.production.releasers)
    click.confirm(f"Release version {version.number} to production?", abort=True)
    return approver("prompt")


@main.command()
@on_option
@pass_project
def waiting(project: Project, on: Where) -> None:
    """Show the newest version that waits for its release, such as a schedule's.

    The last line is `waiting=VERSION` or `waiting=none`, for scripts.
    """
    from mlops import ci, lifecycle

    version = lifecycle.waiting(lifecycle.platform(project, on))
    if version is None:
        ci.current().summary("No version waits for its release.")
        click.echo("waiting=none")
        return
    click.echo(f"waiting={version.number}")
    ci.current().output("version", str(version.number))


@main.command()
@version_option
@click.option("--webhook", envvar="MLOPS_WEBHOOK", hidden=True)  # an address that is a secret
@on_option
@pass_project
def announce(project: Project, number: int | None, webhook: str | None, on: Where) -> None:
    """Compare a version with production's, for those who approve its release.

    In CI, the table is on the run's page. If the variable MLOPS_WEBHOOK has the address of a
    webhook of Teams or Slack, it gets the table and the page's link too.
    """
    from mlops import ci, lifecycle
    from mlops.ci.announcement import announce_version, send

    platform, job = lifecycle.platform(project, on), ci.current()
    version = lifecycle.choose_version(platform, number)
    serving = platform.registry("staging").in_production()
    announcement = announce_version(project, version, serving, job.url())
    click.echo(announcement.text())
    job.summary(announcement.markdown())
    if webhook:
        problem = send(announcement, webhook)
        click.echo(problem or "The webhook was told.", err=bool(problem))


@main.command()
@on_option
@pass_project
def monitor(project: Project, on: Where) -> None:
    """Show how Azure ML's monitoring of production went the last time.

    Exits with 1 if it failed, or is not scheduled.
    """
    from mlops.azure import monitoring
    from mlops.azure.workspace import connect

    if on != "azureml":
        raise ConfigError("Monitoring needs Azure.", "Add --on azureml.")
    click.echo(monitoring.last_run(project, connect(project, "production")))


@main.command()
@on_option
@change("production")
def rollback(project: Project, on: Where) -> None:
    """Return production to the version before, and withdraw the present one."""
    from mlops import lifecycle, terminal

    version = lifecycle.rollback(project, lifecycle.platform(project, on), terminal.tell, _waits())
    click.echo(f"Production is back at version {version.number}.")


@main.command()
@click.argument("rows")
@click.option(
    "--environment",
    type=click.Choice(ENVIRONMENTS),
    default="production",
    help="Whose version scores (default: production).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for the predictions (default: outputs/predictions).",
)
@on_option
@click.option("--model", type=click.Path(path_type=Path, exists=True), hidden=True)
@click.option("--digest", hidden=True)
@pass_project
def score(
    project: Project,
    rows: str,
    environment: Environment,
    out: Path | None,
    on: Where,
    model: Path | None,
    digest: str | None,
) -> None:
    """Score a CSV or Parquet file, or a folder of them.

    Each row becomes a line of JSON: its label and probabilities, or what is wrong with it. With
    --on azureml the batch endpoint does it; ROWS may then also be a path on Azure, such as
    azureml://datastores/NAME/paths/FOLDER.
    """
    out = out or project.outputs / "predictions"
    if on == "azureml":
        _score_on_azure(project, rows, environment, out)
    elif model and digest:  # the step of azureml/batch/pipeline.yml
        _score(project, rows, out, model, digest)
    else:
        _score_here(project, rows, environment, out)
    click.echo(f"Predictions: {out}")


def _score_on_azure(project: Project, rows: str, environment: Environment, out: Path) -> None:
    from mlops.azure import batch, pipeline
    from mlops.azure.workspace import connect

    client = connect(project, environment)
    job = batch.submit(project, client, environment, rows)
    click.echo(f"Submitted: {job.studio_url}")
    pipeline.follow(client, str(job.name))
    batch.fetch(client, str(job.name), out)


def _score_here(project: Project, rows: str, environment: Environment, out: Path) -> None:
    """Score with the files of the version that an environment of this machine serves."""
    import tempfile

    from mlops import lifecycle
    from mlops.model import tags

    platform = lifecycle.platform(project)
    version = lifecycle.served(platform, environment)
    click.echo(f"Version {version.number}, which {environment} serves.")
    with tempfile.TemporaryDirectory() as folder:
        files = platform.registry(environment).download(version, Path(folder))
        _score(project, rows, out, files, version.tags[tags.MODEL_DIGEST])


def _score(project: Project, rows: str, out: Path, model: Path, digest: str) -> None:
    from mlops import lifecycle, terminal

    for scored in lifecycle.score(project, Path(rows), out, model, digest):
        terminal.show(scored)


@main.command()
@on_option
@pass_project
def status(project: Project, on: Where) -> None:
    """Show the registered versions, and what each environment serves.

    Exits with 1 if an environment cannot be read, after showing the other.
    """
    from mlops import lifecycle, terminal

    platform = lifecycle.platform(project, on)
    targets = {name: partial(platform.target, name) for name in ENVIRONMENTS}
    terminal.show_status(platform.registry("staging").versions(), targets)


@main.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    help="How to print it (default: table).",
)
@on_option
@pass_project
def history(project: Project, form: Form, on: Where) -> None:
    """Show what served when, what put it there and what took it out.

    Exits with 1 if an entry was edited, removed or moved.
    """
    from mlops import lifecycle, terminal

    found = lifecycle.history(lifecycle.platform(project, on))
    terminal.show_history(found, form)
    problems = [problem for kept in found.values() for problem in kept.problems]
    if problems:
        raise ReleaseError(
            f"The history was changed. {' '.join(problems)}",
            "Compare it with an earlier export, and find out who may write the registry's tags.",
        )


@main.command()
@click.argument("environment", type=click.Choice(ENVIRONMENTS), required=False)
@change()
def stop(project: Project, environment: Environment | None) -> None:
    """Stop the local servers of one environment, or of both."""
    from mlops.release.local import LocalTarget

    for name in (environment,) if environment else ENVIRONMENTS:
        stopped = LocalTarget(project, name).stop()
        click.echo(f"{name.capitalize()}: {'stopped' if stopped else 'nothing to stop'}.")


@main.command()
@click.option("--offline", is_flag=True, help="Check nothing on Azure.")
@click.option("--online", is_flag=True, help="Check everything that a first release needs.")
@click.option("--json", "as_json", is_flag=True, help="With --online: print JSON.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Ignore a code; repeatable.")
@pass_project
def doctor(
    project: Project, offline: bool, online: bool, as_json: bool, ignore: tuple[str, ...]
) -> None:
    """Check azureml/ and project.yml, and the subscription: names, quota, providers, workspaces.

    Exits with 1 if there are errors; warnings do not fail it. docs/doctor.md explains the codes.
    """
    from mlops.azure.doctor import check_project, summarize

    if (offline and online) or (as_json and not online):
        raise click.UsageError("--online goes without --offline, and --json with --online.")
    findings = check_project(project, main.commands, ignore)
    if online:
        _check_online(project, findings, ignore, as_json)
        return
    for finding in findings:
        click.echo(str(finding))
    click.echo(summarize(findings))
    if any(finding.severity == "error" for finding in findings):
        sys.exit(1)
    if not offline:
        _check_azure(project, ignore)


def _check_online(
    project: Project, findings: list[Finding], ignore: tuple[str, ...], as_json: bool
) -> None:
    """Show what a first release needs; exit with 1 if something is missing."""
    import json

    from mlops import readiness
    from mlops.azure.doctor import ignored_codes
    from mlops.readiness import screen

    report = readiness.examine(project, findings, ignored_codes(project, ignore))
    if as_json:
        click.echo(json.dumps(report.content(), indent=2))
    else:
        screen.show(report)
    sys.exit(0 if report.ready else 1)


def _check_azure(project: Project, ignore: tuple[str, ...]) -> None:
    """Show what the subscription lacks, and the environments' names; fail without a workspace."""
    from mlops.azure.doctor import check_subscription
    from mlops.azure.workspace import connect
    from mlops.naming import RULES

    findings, unread = check_subscription(project, ignore)
    for finding in findings:
        click.echo(str(finding))
    if unread:
        click.echo(f"Not checked, because this identity may not read it: {', '.join(unread)}.")
    for environment in ENVIRONMENTS:
        names = ", ".join(
            f"{rule.resource} {project.azure.name(key, environment)}"
            for key, rule in RULES.items()
            if rule.is_global
        )
        click.echo(f"{environment.capitalize()}'s names that are unique in Azure: {names}.")
    if any(finding.severity == "error" for finding in findings):
        sys.exit(1)
    for environment in ENVIRONMENTS:
        workspace = connect(project, environment).workspace_name
        click.echo(f"{environment.capitalize()}: workspace {workspace} exists.")


passed_on = {"ignore_unknown_options": True, "help_option_names": []}  # its own parser shows help


@main.command(context_settings=passed_on)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def connect(folder: Path, arguments: tuple[str, ...]) -> None:
    """Connect the project to GitHub or Azure DevOps, and to Azure: `mlops connect --help`."""
    from mlops.connect import command

    sys.exit(command.main(list(arguments), folder))


@main.command(context_settings=passed_on)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def disconnect(folder: Path, arguments: tuple[str, ...]) -> None:
    """Remove what `mlops connect` created: `mlops disconnect --help`."""
    from mlops.connect import disconnect as command

    sys.exit(command.main(list(arguments), folder))


@main.group()
def infra() -> None:
    """Plan the Terraform of an environment, and apply what was approved."""


environment_argument = click.argument("environment", type=click.Choice(ENVIRONMENTS))


@infra.command("plan")
@environment_argument
@change("infra")
def plan_infra(project: Project, environment: Environment) -> None:
    """Plan an environment, and store the plan beside its state.

    The last line is `plan=DIGEST changes=true` or `changes=false`, for scripts.
    """
    from mlops import ci, terminal
    from mlops.azure import infrastructure
    from mlops.ci.plan import drift, markdown

    planned = infrastructure.plan(project, environment, terminal.say)
    terminal.show_planned(planned)
    job, changes = ci.current(), str(planned.changed).lower()
    job.summary(markdown(planned))
    job.output("plan", planned.digest)
    job.output("changes", changes)
    job.output("drift", drift(planned))
    click.echo(f"plan={planned.digest} changes={changes}")


@infra.command("apply")
@environment_argument
@click.option(
    "--plan",
    "digest",
    required=True,
    metavar="DIGEST",
    envvar="MLOPS_PLAN",
    show_envvar=True,
    help="The approved plan, as `mlops infra plan` names it.",
)
@change("infra")
def apply_infra(project: Project, environment: Environment, digest: str) -> None:
    """Apply exactly the plan that was approved.

    It is refused if the infrastructure has changed since the plan was made.
    """
    from mlops import ci, terminal
    from mlops.azure import infrastructure

    job = ci.current()
    if environment == "production" and job.in_ci:
        who = job.approver("production-infra", project.serving.production.releasers)
        click.echo(f"Approved by {who}.")
    infrastructure.apply(project, environment, digest, terminal.say)
    click.echo(f"Applied the plan {digest} to {environment}.")


@main.command(hidden=True)
@data_option
@click.option("--candidate", "number", type=int, required=True, help="Its number, from 0.")
@change("run")
def search(project: Project, data: Path | None, number: int) -> None:
    """Score one candidate of model.search: a trial of azureml/search-pipeline.yml."""
    from mlops import lifecycle, results

    rows = _read(project, data)
    validation = lifecycle.last(project, results.Validation)
    dataset = lifecycle.split(project, rows)
    candidate = lifecycle.try_candidate(project, dataset, validation, number)
    metric = project.gate.metric
    click.echo(f"Candidate {number}: {candidate.params} scores {candidate.score:.4f} in {metric}.")
