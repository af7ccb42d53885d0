"""Load the files of azureml/ with the names and settings of project.yml.

Each function returns an entity that ``MLClient`` takes. The files also work without project.yml:
``az ml ... -f``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlops.config import Environment, KubernetesEndpoint, ManagedEndpoint, Project
from mlops.errors import ConfigError
from mlops.model import tags

if TYPE_CHECKING:
    from azure.ai.ml.entities import (
        AmlCompute,
        BatchEndpoint,
        Data,
        JobSchedule,
        KubernetesCompute,
        ModelBatchDeployment,
        OnlineDeployment,
        OnlineEndpoint,
        PipelineJob,
        Schedule,
    )
    from azure.ai.ml.entities import Environment as Image

VERSION_LENGTH: Final = 16
IMAGE_FILES: Final = ("requirements.txt", "azureml/Dockerfile")
COLLECTIONS: Final = ("model_inputs", "model_outputs")


def environment(project: Project) -> Image:
    """Return the image of jobs and endpoints; its version is a digest of its files."""
    from azure.ai.ml import load_environment

    version = environment_version(project)
    return load_environment(
        _file(project, "environment.yml"),
        params_override=[{"name": project.project, "version": version}],
    )


def environment_version(project: Project) -> str:
    """Return the first digits of the digest of requirements.txt and the Dockerfile."""
    total = hashlib.sha256()
    for name in IMAGE_FILES:
        total.update(_existing(project.root / name).read_bytes().replace(b"\r\n", b"\n"))
    return total.hexdigest()[:VERSION_LENGTH]


def environment_reference(project: Project) -> str:
    """Return the environment as jobs and deployments refer to it."""
    return f"azureml:{project.project}:{environment_version(project)}"


def data(project: Project, digest: str, rows: Path | None = None) -> Data:
    """Return the rows to train on, as a data asset.

    Parameters
    ----------
    digest : str
        SHA-256 of the rows; its first digits are the version, so the same rows are uploaded once.
    rows : Path, optional
        A file or folder; data.path of project.yml by default.
    """
    from azure.ai.ml import load_data

    rows = _existing(rows or project.data_path)
    settings = {
        "name": project.project,
        "version": digest[:VERSION_LENGTH],
        "type": _kind(rows),
        "path": str(rows),
    }
    return load_data(_file(project, "data.yml"), params_override=[settings])


def compute(project: Project) -> AmlCompute:
    """Return the cluster of jobs and batch scoring."""
    from azure.ai.ml import load_compute
    from azure.ai.ml.entities import AmlCompute

    wanted = project.azure.compute
    settings: dict[str, Any] = {
        "size": wanted.size,
        "tier": wanted.tier,
        "max_instances": wanted.nodes,
        "idle_time_before_scale_down": wanted.idle_seconds,
    }
    loaded = load_compute(_file(project, "compute.yml"), params_override=[settings])
    assert isinstance(loaded, AmlCompute)
    return loaded


def kubernetes_compute(
    project: Project, environment: Environment, subscription: str
) -> KubernetesCompute:
    """Return the AKS cluster of an environment, as a compute of its workspace."""
    from azure.ai.ml import load_compute
    from azure.ai.ml.entities import KubernetesCompute

    name = project.azure.name
    cluster = (
        f"/subscriptions/{subscription}/resourceGroups/{name('resource_group', environment)}"
        f"/providers/Microsoft.ContainerService/managedClusters/{name('cluster', environment)}"
    )
    settings = {"name": name("attached_cluster", environment), "resource_id": cluster}
    loaded = load_compute(_file(project, "kubernetes/compute.yml"), params_override=[settings])
    assert isinstance(loaded, KubernetesCompute)
    return loaded


def pipeline(project: Project, data: Data, replace: str = "") -> PipelineJob:
    """Return the steps of `mlops run` on a data asset, preceded by model.search if it is set.

    Parameters
    ----------
    data : Data
        The asset, from `data`.
    replace : str
        Why not to compare with the champion; "" to compare.
    """
    return _pipeline(project, f"azureml:{data.name}:{data.version}", str(data.type), replace)


def schedule(project: Project) -> JobSchedule:
    """Return the schedule that retrains on the newest version of the data asset."""
    from azure.ai.ml.entities import JobSchedule
    from azure.ai.ml.entities._load_functions import load_schedule

    settings = {"name": f"{project.project}-retrain"}
    loaded = load_schedule(_file(project, "schedule.yml"), params_override=[settings])
    assert isinstance(loaded, JobSchedule)
    newest = f"azureml:{project.project}@latest"
    loaded.create_job = _pipeline(project, newest, _kind(project.data_path), replace="")
    return loaded


def monitor(project: Project, environment: Environment, slot: str) -> Schedule:
    """Return the schedule that monitors requests and responses of the deployment in ``slot``."""
    from azure.ai.ml.entities._load_functions import load_schedule

    name = project.azure.name
    deployment = f"azureml:{name('endpoint', environment)}:{slot}"
    settings = {
        "name": f"{project.project}-{environment}-monitor",
        "create_monitor.monitoring_target.endpoint_deployment_id": deployment,
    }
    return load_schedule(_file(project, "monitoring.yml"), params_override=_each(settings))


def is_monitored(project: Project) -> bool:
    """Return whether the project monitors its endpoints, which then collect data."""
    return (project.root / "azureml" / "monitoring.yml").is_file()


def endpoint(project: Project, environment: Environment) -> OnlineEndpoint:
    """Return the online endpoint of an environment."""
    from azure.ai.ml import load_online_endpoint

    name = project.azure.name
    target = _online_settings(project, environment).target
    settings: dict[str, Any] = {
        "name": name("endpoint", environment),
        "tags": _project_tags(project),
    }
    if target == "kubernetes":
        settings["compute"] = f"azureml:{name('attached_cluster', environment)}"
    file = _file(project, f"{target}/endpoint.yml")
    return load_online_endpoint(file, params_override=[settings])


def deployment(
    project: Project, environment: Environment, slot: str, model: str, digest: str, version: int
) -> OnlineDeployment:
    """Return the deployment of a version in a slot of the online endpoint.

    Parameters
    ----------
    slot : str
        blue or green.
    model : str
        The registered model, such as ``azureml:credit-risk:3``.
    digest : str
        SHA-256 of the model's files.
    """
    from azure.ai.ml import load_online_deployment

    wanted = _online_settings(project, environment)
    settings: dict[str, Any] = {
        "name": slot,
        "endpoint_name": project.azure.name("endpoint", environment),
        **_version_settings(project, model, digest, version),
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
    file = _file(project, f"{wanted.target}/deployment.yml")
    return load_online_deployment(file, params_override=_each(settings))


def batch_endpoint(project: Project, environment: Environment) -> BatchEndpoint:
    """Return the endpoint that scores files of rows."""
    from azure.ai.ml import load_batch_endpoint

    settings = {
        "name": project.azure.name("batch_endpoint", environment),
        "tags": _project_tags(project),
    }
    return load_batch_endpoint(_file(project, "batch/endpoint.yml"), params_override=[settings])


def batch_deployment(
    project: Project, environment: Environment, model: str, digest: str, version: int
) -> ModelBatchDeployment:
    """Return the deployment of a version behind the batch endpoint, on all nodes of the cluster.

    Parameters
    ----------
    model, digest, version :
        As for `deployment`.
    """
    from azure.ai.ml.entities._load_functions import load_model_batch_deployment

    name = project.azure.name
    settings = {
        "endpoint_name": name("batch_endpoint", environment),
        **_version_settings(project, model, digest, version),
        "compute": f"azureml:{name('compute', environment)}",
        "resources.instance_count": project.azure.compute.nodes,
    }
    file = _file(project, "batch/deployment.yml")
    return load_model_batch_deployment(file, params_override=_each(settings))


def _pipeline(project: Project, rows: str, kind: str, replace: str) -> PipelineJob:
    from azure.ai.ml import load_job
    from azure.ai.ml.entities import PipelineJob

    settings: dict[str, Any] = {
        "experiment_name": project.project,
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
    if replace:
        settings["jobs.evaluate.inputs.replace"] = _check_quotable(replace)
    file = _file(project, "search-pipeline.yml" if search else "pipeline.yml")
    job = load_job(file, params_override=_each(settings))
    assert isinstance(job, PipelineJob)
    for step in job.jobs.values():
        component = step.trial if step.type == "sweep" else step.component
        component.environment = environment_reference(project)
        if "data" in component.inputs:
            component.inputs["data"]["type"] = kind
    return job


def _version_settings(project: Project, model: str, digest: str, version: int) -> dict[str, Any]:
    return {
        "model": model,
        "environment": environment_reference(project),
        "tags": {
            **_project_tags(project),
            tags.VERSION: str(version),
            tags.MODEL_DIGEST: digest,
        },
    }


def _project_tags(project: Project) -> dict[str, str]:
    return {tags.PROJECT: project.project}


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


def _each(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one override per setting, which allows paths as names."""
    return [{name: value} for name, value in settings.items()]


def _check_quotable(reason: str) -> str:
    """Return the reason if a step's command can put it between double quotes."""
    if re.search(r'["$`\\\n]', reason):
        raise ConfigError(
            "The reason contains a character with a meaning in a shell.",
            'Write it without ", $, `, \\ and line breaks.',
        )
    return reason


def _file(project: Project, name: str) -> Path:
    return _existing(project.root / "azureml" / name)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ConfigError(
            f"{path} does not exist.",
            "Restore it from git, or render the project with the option that includes it: serving, "
            "batch_endpoint or monitoring.",
        )
    return path
