"""Load the files of azureml/ with the names and settings of project.yml.

Each function returns an entity that ``MLClient`` takes. The files also work without project.yml:
``az ml ... -f``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from azure.ai.ml import entities
from azure.ai.ml.entities import _load_functions as sdk  # azure.ai.ml exports only some of them

from mlops.config import Environment, KubernetesEndpoint, ManagedEndpoint, Project
from mlops.errors import ConfigError
from mlops.model import tags
from mlops.outputs import digest as digest_of
from mlops.serving.limits import server_settings

Entity = TypeVar("Entity")

VERSION_LENGTH: Final = 16
IMAGE_FILES: Final = ("requirements.txt", "azureml/Dockerfile")
COLLECTIONS: Final = ("model_inputs", "model_outputs")


def environment(project: Project, image: str) -> entities.Environment:
    """Return the environment of jobs and endpoints; its version is a digest of the image's files.

    ``image`` is the image that was built from them, by its digest.
    """
    settings = {"name": project.project, "version": environment_version(project)}
    loaded = _load(sdk.load_environment, project, "environment.yml", settings)
    loaded.build, loaded.image = None, image
    return loaded


def copy_image_files(project: Project, context: Path) -> None:
    """Copy the files that the image of jobs and endpoints is built from into a folder."""
    for name in IMAGE_FILES:
        shutil.copy2(_existing(project.root / name), context)


def environment_version(project: Project) -> str:
    """Return the first digits of the digest of requirements.txt and the Dockerfile."""
    total = hashlib.sha256()
    for name in IMAGE_FILES:
        total.update(_existing(project.root / name).read_bytes().replace(b"\r\n", b"\n"))
    return total.hexdigest()[:VERSION_LENGTH]


def environment_reference(project: Project) -> str:
    """Return the environment as jobs and deployments refer to it."""
    return f"azureml:{project.project}:{environment_version(project)}"


def data(project: Project, rows: Path, digest: str) -> entities.Data:
    """Return a file or folder of rows as a data asset.

    The digest's first digits are the version, so the same rows are uploaded once.
    """
    settings = {
        "name": project.project,
        "version": digest[:VERSION_LENGTH],
        "type": _kind(rows),
        "path": str(_existing(rows)),
    }
    return _load(sdk.load_data, project, "data.yml", settings)


def compute(project: Project) -> entities.AmlCompute:
    """Return the cluster of jobs and batch scoring."""
    wanted = project.azure.compute
    settings = {
        "size": wanted.size,
        "tier": wanted.tier,
        "max_instances": wanted.nodes,
        "idle_time_before_scale_down": wanted.idle_seconds,
    }
    loaded = _load(sdk.load_compute, project, "compute.yml", settings)
    assert isinstance(loaded, entities.AmlCompute)
    return loaded


def pipeline(
    project: Project, data: entities.Data | None, replace: str = "", accept: str = ""
) -> entities.PipelineJob:
    """Return the steps of `mlops run`, preceded by model.search if it is set.

    ``data`` is a data asset; None takes the rows that azure.data holds when the job runs.
    ``replace`` is why not to compare with the champion; "" compares. ``accept`` is why to accept a
    change of the data; "" stops at one.
    """
    reasons = {"replace": replace, "accept": accept}
    if data is None:
        return _live_pipeline(project, reasons)
    return _pipeline(project, f"azureml:{data.name}:{data.version}", str(data.type), reasons)


def schedule(project: Project) -> entities.JobSchedule:
    """Return the schedule that retrains on what azure.data holds at that time."""
    settings = {"name": f"{project.project}-retrain"}
    loaded = _load(sdk.load_schedule, project, "schedule.yml", settings)
    assert isinstance(loaded, entities.JobSchedule)
    loaded.create_job = _live_pipeline(project, {})
    return loaded


def monitor(project: Project, environment: Environment, slot: str) -> entities.Schedule:
    """Return the schedule that monitors requests and responses of the deployment in ``slot``."""
    deployment = f"azureml:{project.azure.name('endpoint', environment)}:{slot}"
    settings = {
        "name": monitor_name(project, environment),
        "create_monitor.monitoring_target.endpoint_deployment_id": deployment,
    }
    return _load(sdk.load_schedule, project, "monitoring.yml", settings)


def monitor_name(project: Project, environment: Environment) -> str:
    """Return the name of that schedule."""
    return f"{project.project}-{environment}-monitor"


def is_monitored(project: Project) -> bool:
    """Return whether the project monitors its endpoints, which then collect data."""
    return (project.root / "azureml" / "monitoring.yml").is_file()


def endpoint(project: Project, environment: Environment) -> entities.OnlineEndpoint:
    """Return the online endpoint of an environment."""
    name = project.azure.name
    target = _online_settings(project, environment).target
    settings: dict[str, Any] = {
        "name": name("endpoint", environment),
        "tags": {tags.PROJECT: project.project},
    }
    if target == "kubernetes":
        settings["compute"] = f"azureml:{name('attached_cluster', environment)}"
    elif project.azure.network == "private":
        settings["public_network_access"] = "disabled"
    return _load(sdk.load_online_endpoint, project, f"{target}/endpoint.yml", settings)


def deployment(
    project: Project, environment: Environment, slot: str, version: int, digest: str
) -> entities.OnlineDeployment:
    """Return the deployment of a registered version, with its digest, in a slot of the endpoint."""
    wanted = _online_settings(project, environment)
    settings = {
        "name": slot,
        "endpoint_name": project.azure.name("endpoint", environment),
        "model": _model(project, version),
        "environment": environment_reference(project),
        "environment_variables": server_settings(project, digest),
        "tags": _version_tags(project, version, digest),
        "instance_type": wanted.instance_type,
        "instance_count": wanted.instances,
        "request_settings.request_timeout_ms": int(wanted.timeout_s * 1000),
    }
    if isinstance(wanted, KubernetesEndpoint):
        size = {"cpu": f"{wanted.cpu:g}", "memory": f"{wanted.memory_gb:g}Gi"}
        settings |= {"resources.requests": size, "resources.limits": size}
    if is_monitored(project):
        enabled = {name: {"enabled": "true"} for name in COLLECTIONS}
        settings["data_collector"] = {"collections": enabled}
    file = f"{wanted.target}/deployment.yml"
    return _load(sdk.load_online_deployment, project, file, settings)


def batch_endpoint(project: Project, environment: Environment) -> entities.BatchEndpoint:
    """Return the endpoint that scores files of rows."""
    name = project.azure.name("batch_endpoint", environment)
    settings = {"name": name, "tags": {tags.PROJECT: project.project}}
    return _load(sdk.load_batch_endpoint, project, "batch/endpoint.yml", settings)


def batch_component(project: Project, version: int, digest: str) -> entities.PipelineComponent:
    """Return what the batch endpoint runs: the files of a version, with its digest, score rows."""
    settings = {
        "name": f"{project.project.replace('-', '_')}_score",
        "version": f"{version}-{_score_digest(project, digest)}",
        "jobs.score.inputs.model.path": _model(project, version),
        "jobs.score.inputs.digest": digest,
    }
    loaded = _load(sdk.load_component, project, "batch/pipeline.yml", settings)
    assert isinstance(loaded, entities.PipelineComponent)
    loaded.jobs["score"].component.environment = environment_reference(project)
    return loaded


def batch_deployment(
    project: Project,
    environment: Environment,
    version: int,
    digest: str,
    component: entities.PipelineComponent,
) -> entities.PipelineComponentBatchDeployment:
    """Return the deployment of a version's component behind the batch endpoint.

    Its name changes with all that it runs, so that an existing one never needs to change.
    """
    name = project.azure.name
    settings = {
        "name": f"v{component.version}",
        "component": f"azureml:{component.name}:{component.version}",
        "endpoint_name": name("batch_endpoint", environment),
        "settings.default_compute": name("compute", environment),
        "tags": _version_tags(project, version, digest),
    }
    file = "batch/deployment.yml"
    return _load(sdk.load_pipeline_component_batch_deployment, project, file, settings)


def _live_pipeline(project: Project, reasons: Mapping[str, str]) -> entities.PipelineJob:
    """Return the steps on azure.data, which Azure ML would not run again for the same address."""
    rows = project.azure.data
    if rows is None:
        raise ConfigError(
            "azure.data is not set in project.yml.",
            "Put the rows into a datastore and set azure.data to their address, such as "
            "azureml://datastores/workspaceblobstore/paths/NAME/.",
        )
    job = _pipeline(project, rows, "uri_folder" if rows.endswith("/") else "uri_file", reasons)
    assert job.settings is not None
    job.settings.force_rerun = True
    return job


def _pipeline(
    project: Project, rows: str, kind: str, reasons: Mapping[str, str]
) -> entities.PipelineJob:
    """Return the steps; ``reasons`` are inputs of the step evaluate, without those that are ""."""
    settings: dict[str, Any] = {
        "experiment_name": project.project,
        "jobs.train.inputs.origin": rows,
        "inputs.data.path": rows,
        "inputs.data.type": kind,
    }
    search = project.model.search
    if search:
        count = search.combinations
        settings |= {
            "jobs.search.search_space.candidate.values": list(range(count)),
            "jobs.search.limits.max_total_trials": count,
            "jobs.search.limits.max_concurrent_trials": min(count, project.azure.compute.nodes),
        }
    for name, reason in reasons.items():
        if reason:
            settings[f"jobs.evaluate.inputs.{name}"] = _check_quotable(reason)
    file = "search-pipeline.yml" if search else "pipeline.yml"
    job = _load(sdk.load_job, project, file, settings)
    assert isinstance(job, entities.PipelineJob)
    for step in job.jobs.values():
        component = step.trial if step.type == "sweep" else step.component
        component.environment = environment_reference(project)
        if "data" in component.inputs:
            component.inputs["data"]["type"] = kind
    return job


def _score_digest(project: Project, model: str) -> str:
    """Return the first digits of the digest of all that scores files: model, code and image."""
    files = [*sorted((project.root / "src").rglob("*.py")), project.root / "project.yml"]
    parts = [model, environment_version(project), *map(digest_of, files)]
    parts.append(digest_of(_existing(project.root / "azureml" / "batch")))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:VERSION_LENGTH]


def _model(project: Project, version: int) -> str:
    return f"azureml:{project.project}:{version}"


def _version_tags(project: Project, version: int, digest: str) -> dict[str, str]:
    return {
        tags.PROJECT: project.project,
        tags.VERSION: str(version),
        tags.MODEL_DIGEST: digest,
    }


def _online_settings(
    project: Project, environment: Environment
) -> ManagedEndpoint | KubernetesEndpoint:
    settings = project.endpoint(environment)
    if isinstance(settings, ManagedEndpoint | KubernetesEndpoint):
        return settings
    raise ConfigError(
        f"serving.{environment}.target is {settings.target}, not an Azure ML online endpoint.",
        "Set it to managed or kubernetes.",
    )


def _kind(rows: Path) -> str:
    return "uri_folder" if rows.is_dir() else "uri_file"


def _check_quotable(reason: str) -> str:
    """Return the reason if a step's command can put it between double quotes."""
    if re.search(r'["$`\\\n]', reason):
        raise ConfigError(
            "The reason contains a character with a meaning in a shell.",
            'Write it without ", $, `, \\ and line breaks.',
        )
    return reason


def _load(
    load: Callable[..., Entity], project: Project, name: str, settings: dict[str, Any]
) -> Entity:
    """Return the entity in a file of azureml/; a setting's name may be a path with dots."""
    overrides = [{key: value} for key, value in settings.items()]
    return load(_existing(project.root / "azureml" / name), params_override=overrides)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ConfigError(
            f"{path} does not exist.",
            "Restore it from git, or render the project with the option that includes it: serving, "
            "batch_endpoint or monitoring.",
        )
    return path
