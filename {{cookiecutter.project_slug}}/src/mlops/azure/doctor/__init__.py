"""Finds the mistakes in azureml/ and project.yml that Azure would find minutes or hours later.

Azure ML's own validation does not see beyond one field: that jobs, inputs, files or sizes exist,
that types fit, or that a schedule ever runs. Nothing here asks Azure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mlops.azure.doctor import assets, jobs, schedules
from mlops.azure.doctor.documents import Document, Finding, Site, read_document
from mlops.azure.doctor.sizes import size_problem
from mlops.azure.doctor.strict import validate_strictly
from mlops.config import ENVIRONMENTS, ManagedEndpoint, Project
from mlops.errors import ConfigError

__all__ = ["Finding", "check_project", "check_rules", "read_site"]

Rule = Callable[[Document, Site], Iterator[Finding]]

EVERYWHERE: tuple[Rule, ...] = (assets.check_name, assets.check_counts, assets.check_references)
RULES: dict[str, tuple[Rule, ...]] = {
    "amlCompute": (assets.check_compute,),
    "batchEndpoint": (assets.check_endpoint,),
    "commandComponent": (jobs.check_component,),
    "data": (assets.check_data,),
    "environment": (assets.check_environment,),
    "kubernetesCompute": (assets.check_kubernetes_compute,),
    "kubernetesOnlineDeployment": (assets.check_deployment,),
    "kubernetesOnlineEndpoint": (assets.check_endpoint,),
    "managedOnlineDeployment": (assets.check_deployment,),
    "managedOnlineEndpoint": (assets.check_endpoint,),
    "modelBatchDeployment": (assets.check_deployment,),
    "monitorSchedule": (schedules.check_trigger, assets.check_monitor),
    "pipelineJob": (jobs.check_pipeline,),
    "schedule": (schedules.check_trigger,),
}
# What a target of project.yml needs below azureml/.
TARGETS = {
    "managed": ("managed/endpoint.yml", "managed/deployment.yml"),
    "kubernetes": (
        "kubernetes/compute.yml",
        "kubernetes/endpoint.yml",
        "kubernetes/deployment.yml",
    ),
    "container-instance": ("container/Dockerfile",),
}


def check_project(project: Project) -> list[Finding]:
    """All that is wrong: what Azure ML's own validation says, and what it misses."""
    site, unread = read_site(project)
    refused = [finding for doc in site.documents for finding in validate_strictly(doc)]
    return sorted({*unread, *refused, *check_rules(site)})


def read_site(project: Project) -> tuple[Site, list[Finding]]:
    """The files of azureml/, and what cannot be read of them.

    Raises
    ------
    ConfigError
        There are none.
    """
    documents, unread = [], []
    files = sorted((project.root / "azureml").rglob("*.yml"))
    if not files:
        raise ConfigError(f"{project.root / 'azureml'} holds no files.", "Restore it from git.")
    for file in files:
        document, wrong = read_document(file.resolve(), project.root.resolve())
        unread += wrong
        if document.content:
            documents.append(document)
    return Site(project, tuple(documents)), unread


def check_rules(site: Site) -> list[Finding]:
    """What Azure ML's own validation misses."""
    found = [
        finding
        for document in site.documents
        for rule in (*EVERYWHERE, *RULES.get(document.kind, ()))
        for finding in rule(document, site)
    ]
    unknown = [
        document.wrong(
            ("$schema",),
            f"$schema names {document.kind or 'nothing'}, which no command of mlops reads.",
            "Restore the line from git.",
        )
        for document in site.documents
        if document.kind not in RULES
    ]
    return [*found, *unknown, *_check_settings(site.project)]


def _check_settings(project: Project) -> Iterator[Finding]:
    """What project.yml asks Azure for."""
    file, _ = read_document(project.root.resolve() / "project.yml", project.root.resolve())
    if problem := size_problem(project.azure.compute.size):
        yield file.wrong(("azure", "compute", "size"), *problem)
    for name in ENVIRONMENTS:
        wanted = project.endpoint(name)
        if isinstance(wanted, ManagedEndpoint) and (problem := size_problem(wanted.instance_type)):
            yield file.wrong(("serving", name, "instance_type"), *problem)
        for needed in TARGETS.get(wanted.target, ()):
            if not Path(project.root, "azureml", needed).is_file():
                what = f"The target {wanted.target} needs azureml/{needed}, which does not exist."
                fix = "Choose another target, or render the project with another `serving`."
                yield file.wrong(("serving", name, "target"), what, fix)
    if not project.data_path.exists():
        yield file.wrong(("data", "path"), f"{project.data.path} does not exist.", "Correct it.")
