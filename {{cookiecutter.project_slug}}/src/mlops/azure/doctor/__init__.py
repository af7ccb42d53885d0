"""Find problems in azureml/ and project.yml that Azure would report minutes or hours later.

Azure ML's own validation looks at single fields: not whether jobs, inputs, files or sizes exist,
whether types match, or whether a schedule ever runs. Only `check_subscription` contacts Azure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

import click

from mlops.azure.doctor import assets, components, fields, pipelines
from mlops.azure.doctor.documents import (
    CODES,
    PAGE,
    Context,
    Document,
    Finding,
    nearest,
    read_document,
    severity,
)
from mlops.azure.doctor.strict import LOADERS, validate_strictly
from mlops.config import ENVIRONMENTS, ManagedEndpoint, Project
from mlops.errors import ConfigError
from mlops.evaluation.weakness import find_weaknesses
from mlops.results import Evaluation, read_result

__all__ = [
    "Finding",
    "check_context",
    "check_project",
    "check_rules",
    "check_subscription",
    "ignored_codes",
    "read_context",
    "severity",
    "summarize",
]

# Each rule checks every file; it finds nothing in a file without the fields it is about.
RULES: tuple[Callable[[Document, Context], Iterator[Finding]], ...] = (
    fields.check_names,
    fields.check_required,
    fields.check_values,
    fields.check_limits,
    fields.check_sizes,
    fields.check_paths,
    fields.check_references,
    assets.check_environment,
    assets.check_data,
    assets.check_traffic,
    assets.check_deployment,
    assets.check_trigger,
    components.check_component,
    pipelines.check_pipeline,
)
# The folder of azureml/ that a target of project.yml needs.
FOLDERS = {"managed": "managed", "kubernetes": "kubernetes", "container-instance": "container"}


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
    ignored = ignored_codes(project, ignore)
    context = read_context(project, commands)
    return check_context(context, context.documents, ignored)


def check_subscription(
    project: Project, ignore: Iterable[str] = ()
) -> tuple[list[Finding], list[str]]:
    """Check the subscription; return the findings, and what the identity may not read.

    Raises
    ------
    AzureError
        Azure cannot be reached.
    """
    from mlops.azure.credential import make_credential
    from mlops.azure.doctor.subscription import Subscription
    from mlops.azure.resource_manager import ResourceManager

    ignored, root = ignored_codes(project, ignore), project.root.resolve()
    settings = read_document(root / "project.yml", root)
    subscription = Subscription(project, settings, ResourceManager(make_credential()))
    findings = [one for one in subscription.check() if one.code not in ignored]
    return findings, subscription.unread


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
    """Read project.yml and the files of azureml/."""
    root = project.root.resolve()
    files = sorted((root / "azureml").rglob("*.yml"))
    if not files:
        raise ConfigError(f"{root / 'azureml'} has no files.", "Restore it from git.")
    settings, *documents = (read_document(file, root) for file in (root / "project.yml", *files))
    return Context(project, commands, settings, tuple(documents))


def check_rules(context: Context) -> list[Finding]:
    """Check what Azure ML's own validation misses."""
    found = [*context.settings.problems, *_check_settings(context), *_check_gate(context)]
    for document in context.documents:
        found += document.problems
        for rule in RULES:
            found += rule(document, context)
        if document.content and document.kind not in LOADERS:
            unread = f"{document.kind}, which mlops does not read" if document.kind else "missing"
            message = f"$schema is {unread}."
            found += [document.finding("AZ003", ("$schema",), message, "Restore it from git.")]
    return found


def ignored_codes(project: Project, given: Iterable[str]) -> set[str]:
    """Return the codes to ignore, those of project.yml included.

    Raises
    ------
    ConfigError
        A code does not exist.
    """
    return {*_known("--ignore", given), *_known("doctor.ignore", project.doctor.ignore)}


def _known(source: str, codes: Iterable[str]) -> Iterator[str]:
    for code in codes:
        if code not in CODES:
            fix = f"{nearest(code, CODES, cutoff=0)}{PAGE} lists the codes."
            raise ConfigError(f"{source}: {code} is not a code of `mlops doctor`.", fix)
        yield code


def _check_settings(context: Context) -> Iterator[Finding]:
    """Check what project.yml asks of Azure."""
    project, settings = context.project, context.settings
    sizes = {("azure", "compute", "size"): project.azure.compute.size}
    for name in ENVIRONMENTS:
        wanted = project.endpoint(name)
        if isinstance(wanted, ManagedEndpoint):
            sizes["serving", name, "instance_type"] = wanted.instance_type
        folder = FOLDERS.get(wanted.target)
        if folder and not Path(project.root, "azureml", folder).is_dir():
            message = f"The target {wanted.target} needs azureml/{folder}/."
            fix = "Choose another target, or render the project with another `serving`."
            yield settings.finding("AZ047", ("serving", name, "target"), message, fix)
    for path, size in sizes.items():
        if problem := fields.size_problem(size):
            yield settings.finding("AZ070", path, *problem)
    region = project.azure.region
    if region not in fields.REGIONS.split():
        fix = f"{nearest(region, fields.REGIONS.split())}`az account list-locations` lists them."
        message = f"{region} is not a known region."
        yield settings.finding("AZ073", ("azure", "region"), message, fix)
    built = "private" if (project.root / "infra" / "network_private.tf").is_file() else "public"
    if project.azure.network != built and (project.root / "infra").is_dir():
        message = f"azure.network is {project.azure.network}, but infra/ builds a {built} network."
        fix = f"Set it to {built}, or render the project with the other `network`."
        yield settings.finding("AZ007", ("azure", "network"), message, fix)
    if not project.data_path.exists() and project.azure.data is None:
        message = f"{project.data.path} does not exist."
        yield settings.finding("AZ008", ("data", "path"), message, "Correct the path.")


def _check_gate(context: Context) -> Iterator[Finding]:
    """Check that the gate can be passed, and not by chance, also on the last evaluation's data."""
    project, last = context.project, None
    with contextlib.suppress(ConfigError):
        last = read_result(project.outputs / "evaluation", Evaluation)
    codes = {
        "gate_passes_nobody": "AZ080",
        "gate_passes_chance": "AZ081",
        "gate_judges_no_slice": "AZ082",
    }
    for weakness in find_weaknesses(project.gate, last):
        path = ("gate", *weakness.field)
        yield context.settings.finding(codes[weakness.code], path, weakness.text, weakness.fix)
