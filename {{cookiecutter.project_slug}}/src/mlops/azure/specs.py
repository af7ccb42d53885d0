"""What Azure ML is asked for: the files of azureml/, with the names and settings of project.yml.

Each function loads one file with Azure ML's own loader and returns an entity that is ready for
``MLClient``. The files alone can be used by a person: ``az ml ... -f``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.azure.names import names
from mlops.config import Endpoint, Project
from mlops.errors import ConfigError

if TYPE_CHECKING:
    from azure.ai.ml.entities import (
        AmlCompute,
        BatchEndpoint,
        Data,
        Environment,
        JobSchedule,
        KubernetesCompute,
        ModelBatchDeployment,
        OnlineDeployment,
        OnlineEndpoint,
        PipelineJob,
        Schedule,
    )

VERSION_TAG = "mlops.version"
DIGEST_TAG = "mlops.model_digest"
VERSION_LENGTH = 16
# What the image of jobs and endpoints is made of.
IMAGE_FILES = ("requirements.txt", "azureml/Dockerfile")
COLLECTIONS = ("model_inputs", "model_outputs")


def environment(project: Project) -> Environment:
    """The image of jobs and endpoints; its version tells what it is made of."""
    from azure.ai.ml import load_environment

    version = environment_version(project)
    return load_environment(
        _file(project, "environment.yml"),
        params_override=[{"name": project.project, "version": version}],
    )


def environment_version(project: Project) -> str:
    """The first digits of the digest of requirements.txt and the Dockerfile."""
    total = hashlib.sha256()
    for name in IMAGE_FILES:
        total.update(_existing(project.root / name).read_bytes().replace(b"\r\n", b"\n"))
    return total.hexdigest()[:VERSION_LENGTH]


def environment_reference(project: Project) -> str:
    """How jobs and deployments name the environment."""
    return f"azureml:{project.project}:{environment_version(project)}"


def data(project: Project, digest: str, rows: Path | None = None) -> Data:
    """The rows to learn from, as a data asset.

    Parameters
    ----------
    digest : str
        SHA-256 of the rows; its first digits are the version, so equal rows are uploaded once.
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
    """The cluster of jobs and batch scoring."""
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


def kubernetes_compute(project: Project, environment: str, subscription: str) -> KubernetesCompute:
    """The AKS cluster of an environment, as a compute of its workspace."""
    from azure.ai.ml import load_compute
    from azure.ai.ml.entities import KubernetesCompute

    own = names(project, environment)
    cluster = (
        f"/subscriptions/{subscription}/resourceGroups/{own.resource_group}"
        f"/providers/Microsoft.ContainerService/managedClusters/{own.cluster}"
    )
    settings = {"name": own.attached_cluster, "resource_id": cluster}
    loaded = load_compute(_file(project, "kubernetes/compute.yml"), params_override=[settings])
    assert isinstance(loaded, KubernetesCompute)
    return loaded


def pipeline(project: Project, data: Data, replace: str = "") -> PipelineJob:
    """The steps of `mlops run` on a data asset, with a search before if project.yml has one.

    Parameters
    ----------
    data : Data
        The asset as `data` describes it.
    replace : str
        Why the champion is not to be compared with; "" to compare.
    """
    return _pipeline(project, f"azureml:{data.name}:{data.version}", str(data.type), replace)


def schedule(project: Project) -> JobSchedule:
    """Retraining by the clock, on the newest version of the data asset."""
    from azure.ai.ml.entities import JobSchedule
    from azure.ai.ml.entities._load_functions import load_schedule

    settings = {"name": f"{project.project}-retrain"}
    loaded = load_schedule(_file(project, "schedule.yml"), params_override=[settings])
    assert isinstance(loaded, JobSchedule)
    newest = f"azureml:{project.project}@latest"
    loaded.create_job = _pipeline(project, newest, _kind(project.data_path), replace="")
    return loaded


def monitor(project: Project, environment: str, slot: str) -> Schedule:
    """The schedule that watches what the deployment in ``slot`` is asked and answers."""
    from azure.ai.ml.entities._load_functions import load_schedule

    own = names(project, environment)
    deployment = f"azureml:{own.endpoint}:{slot}"
    settings = {
        "name": f"{project.project}-{environment}-monitor",
        "create_monitor.monitoring_target.endpoint_deployment_id": deployment,
    }
    return load_schedule(_file(project, "monitoring.yml"), params_override=_each(settings))


def monitored(project: Project) -> bool:
    """Whether the project watches its endpoints, which have to collect for it."""
    return (project.root / "azureml" / "monitoring.yml").is_file()


def endpoint(project: Project, environment: str) -> OnlineEndpoint:
    """The online endpoint of staging or production, as its target asks for."""
    from azure.ai.ml import load_online_endpoint

    own = names(project, environment)
    file = f"{_online_target(project, environment)}/endpoint.yml"
    settings: dict[str, Any] = {"name": own.endpoint, "tags": _project_tags(project)}
    if file.startswith("kubernetes"):
        settings["compute"] = f"azureml:{own.attached_cluster}"
    return load_online_endpoint(_file(project, file), params_override=[settings])


def deployment(
    project: Project, environment: str, slot: str, model: str, digest: str, version: int
) -> OnlineDeployment:
    """One version behind the online endpoint.

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

    target = _online_target(project, environment)
    wanted = _serving(project, environment)
    settings: dict[str, Any] = {
        "name": slot,
        "endpoint_name": names(project, environment).endpoint,
        **_version_settings(project, model, digest, version),
        "instance_type": wanted.instance_type,
        "instance_count": wanted.instances,
        "request_settings.request_timeout_ms": int(wanted.timeout_s * 1000),
    }
    if target == "kubernetes":
        size = {"cpu": f"{wanted.cpu:g}", "memory": f"{wanted.memory_gb:g}Gi"}
        settings |= {"resources.requests": size, "resources.limits": size}
    if monitored(project):
        enabled = {name: {"enabled": "true"} for name in COLLECTIONS}
        settings["data_collector"] = {"collections": enabled}
    file = _file(project, f"{target}/deployment.yml")
    return load_online_deployment(file, params_override=_each(settings))


def batch_endpoint(project: Project, environment: str) -> BatchEndpoint:
    """The endpoint that scores files of rows."""
    from azure.ai.ml import load_batch_endpoint

    settings = {
        "name": names(project, environment).batch_endpoint,
        "tags": _project_tags(project),
    }
    return load_batch_endpoint(_file(project, "batch/endpoint.yml"), params_override=[settings])


def batch_deployment(
    project: Project, environment: str, model: str, digest: str, version: int
) -> ModelBatchDeployment:
    """One version behind the batch endpoint, on all nodes of the cluster.

    Parameters
    ----------
    model, digest, version :
        As for `deployment`.
    """
    from azure.ai.ml.entities._load_functions import load_model_batch_deployment

    own = names(project, environment)
    settings = {
        "endpoint_name": own.batch_endpoint,
        **_version_settings(project, model, digest, version),
        "compute": f"azureml:{own.compute}",
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
        settings["jobs.evaluate.inputs.replace"] = _quotable(replace)
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
        "tags": {**_project_tags(project), VERSION_TAG: str(version), DIGEST_TAG: digest},
    }


def _project_tags(project: Project) -> dict[str, str]:
    return {"mlops.project": project.project}


def _serving(project: Project, environment: str) -> Endpoint:
    found: Endpoint = getattr(project.serving, environment)
    return found


def _online_target(project: Project, environment: str) -> str:
    target = _serving(project, environment).target
    if target in ("managed", "kubernetes"):
        return target
    raise ConfigError(
        f"serving.{environment}.target is {target}, which is no online endpoint of Azure ML.",
        "Set it to managed or kubernetes.",
    )


def _kind(rows: Path) -> str:
    return "uri_folder" if rows.is_dir() else "uri_file"


def _each(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Overrides one by one, which lets their names be paths."""
    return [{name: value} for name, value in settings.items()]


def _quotable(reason: str) -> str:
    """The reason, if it can stand between double quotes in a step's command."""
    if re.search(r'["$`\\\n]', reason):
        raise ConfigError(
            "The reason holds a character that a command line would take for its own.",
            'Say it without ", $, `, \\ and line breaks.',
        )
    return reason


def _file(project: Project, name: str) -> Path:
    return _existing(project.root / "azureml" / name)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ConfigError(
            f"{path} does not exist.",
            "Restore it from git, or choose it when the project is rendered: serving, "
            "batch_endpoint and monitoring select such files.",
        )
    return path
