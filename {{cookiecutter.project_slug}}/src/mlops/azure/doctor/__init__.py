"""Find problems in azureml/ and project.yml that Azure would report minutes or hours later.

Azure ML's own validation looks at single fields: not whether jobs, inputs, files or sizes exist,
whether types match, or whether a schedule ever runs. Nothing here contacts Azure.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

import click

from mlops.azure.doctor import assets, components, fields, pipelines, schedules
from mlops.azure.doctor.catalog import region_problem, size_problem
from mlops.azure.doctor.codes import CODES
from mlops.azure.doctor.documents import PAGE, Context, Document, Finding, read_document
from mlops.azure.doctor.strict import validate_strictly
from mlops.config import ENVIRONMENTS, ManagedEndpoint, Project
from mlops.errors import ConfigError

__all__ = [
    "Finding",
    "check_context",
    "check_project",
    "check_rules",
    "read_context",
    "summarize",
]

Rule = Callable[[Document, Context], Iterator[Finding]]

EVERYWHERE: tuple[Rule, ...] = (
    fields.check_name,
    fields.check_required,
    fields.check_values,
    fields.check_sizes,
    fields.check_paths,
    fields.check_references,
)
RULES: dict[str, tuple[Rule, ...]] = {
    "amlCompute": (assets.check_compute,),
    "batchEndpoint": (assets.check_endpoint,),
    "commandComponent": (components.check_component,),
    "data": (assets.check_data,),
    "environment": (assets.check_environment,),
    "kubernetesCompute": (),
    "kubernetesOnlineDeployment": (assets.check_deployment,),
    "kubernetesOnlineEndpoint": (assets.check_endpoint,),
    "managedOnlineDeployment": (assets.check_deployment,),
    "managedOnlineEndpoint": (assets.check_endpoint,),
    "modelBatchDeployment": (assets.check_deployment,),
    "monitorSchedule": (schedules.check_trigger, schedules.check_monitor),
    "pipelineJob": (pipelines.check_pipeline,),
    "schedule": (schedules.check_trigger,),
}
# The files of azureml/ that a target of project.yml needs.
TARGETS = {
    "managed": ("managed/endpoint.yml", "managed/deployment.yml"),
    "kubernetes": tuple(f"kubernetes/{name}.yml" for name in ("compute", "endpoint", "deployment")),
    "container-instance": ("container/Dockerfile",),
}


def check_project(
    project: Project, commands: Mapping[str, click.Command], ignore: Iterable[str] = ()
) -> list[Finding]:
    """Check azureml/ and project.yml, by our rules and by Azure ML's own validation.

    Parameters
    ----------
    commands : mapping of str to click.Command
        The commands of `mlops`, which components call.
    ignore : iterable of str
        Codes to leave out, besides ``doctor.ignore`` of project.yml.

    Returns
    -------
    list of Finding
        Sorted by file and line.

    Raises
    ------
    ConfigError
        azureml/ has no files, or a code to ignore does not exist.
    """
    ignored = {*_known("--ignore", ignore), *_known("doctor.ignore", project.doctor.ignore)}
    context = read_context(project, commands)
    return check_context(context, context.documents, ignored)


def check_context(
    context: Context, validated: Iterable[Document], ignored: Collection[str] = ()
) -> list[Finding]:
    """Check files that were read, and have Azure ML's own validation check some of them."""
    findings = {item for item in check_rules(context) if item.code not in ignored}
    if "AZ004" not in ignored:
        for document in validated:
            errors = {f.line for f in findings if (f.file, f.severity) == (document.name, "error")}
            findings.update(validate_strictly(document, errors))
    return sorted(findings)


def summarize(findings: Iterable[Finding]) -> str:
    """Return the numbers of errors and warnings, as a sentence."""
    severities = [finding.severity for finding in findings]
    counts = {name: severities.count(name) for name in ("error", "warning")}
    parts = [f"{n} {name}{'s' if n > 1 else ''}" for name, n in counts.items() if n]
    return f"{', '.join(parts) or 'No problems'} in azureml/ and project.yml."


def read_context(project: Project, commands: Mapping[str, click.Command]) -> Context:
    """Read project.yml and the files of azureml/.

    Raises
    ------
    ConfigError
        azureml/ has no files.
    """
    root = project.root.resolve()
    files = sorted((root / "azureml").rglob("*.yml"))
    if not files:
        raise ConfigError(f"{root / 'azureml'} has no files.", "Restore it from git.")
    read = [read_document(file, root) for file in (root / "project.yml", *files)]
    (settings, _), *others = read
    documents = tuple(document for document, _ in others if document.content)
    unreadable = tuple(finding for _, findings in read for finding in findings)
    return Context(project, commands, settings, documents, unreadable)


def check_rules(context: Context) -> list[Finding]:
    """Check what Azure ML's own validation misses."""
    found = [*context.unreadable, *_check_settings(context)]
    for document in context.documents:
        for rule in (*EVERYWHERE, *RULES.get(document.kind, ())):
            found += rule(document, context)
        if document.kind not in RULES:
            unread = f"{document.kind}, which mlops does not read" if document.kind else "missing"
            message = f"$schema is {unread}."
            found += [document.finding("AZ003", ("$schema",), message, "Restore it from git.")]
    return found


def _known(source: str, codes: Iterable[str]) -> Iterator[str]:
    for code in codes:
        if code not in CODES:
            nearest = difflib.get_close_matches(code.upper(), CODES, n=1, cutoff=0)[0]
            fix = f"Did you mean {nearest}? {PAGE} lists the codes."
            raise ConfigError(f"{source}: {code} is not a code of `mlops doctor`.", fix)
        yield code


def _check_settings(context: Context) -> Iterator[Finding]:
    """Check what project.yml asks of Azure."""
    project, settings = context.project, context.settings
    if problem := size_problem(project.azure.compute.size):
        yield settings.finding("AZ070", ("azure", "compute", "size"), *problem)
    if problem := region_problem(project.azure.region):
        yield settings.finding("AZ073", ("azure", "region"), *problem)
    for name in ENVIRONMENTS:
        wanted = project.endpoint(name)
        if isinstance(wanted, ManagedEndpoint) and (problem := size_problem(wanted.instance_type)):
            yield settings.finding("AZ070", ("serving", name, "instance_type"), *problem)
        needed = [f"azureml/{file}" for file in TARGETS.get(wanted.target, ())]
        missing = [file for file in needed if not Path(project.root, file).is_file()]
        if missing:
            message = f"The target {wanted.target} needs {', '.join(missing)}."
            fix = "Choose another target, or render the project with another `serving`."
            yield settings.finding("AZ047", ("serving", name, "target"), message, fix)
    if not project.data_path.exists():
        message = f"{project.data.path} does not exist."
        yield settings.finding("AZ008", ("data", "path"), message, "Correct the path.")
