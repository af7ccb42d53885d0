"""Score files with the batch endpoint of an environment: each request is a job on its cluster."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from azure.ai.ml import Input, MLClient
from azure.ai.ml.entities import Job

from mlops.azure import specs
from mlops.azure.assets import provide_compute
from mlops.azure.pipeline import download
from mlops.azure.workspace import azure_errors, find, put
from mlops.config import Environment, Project
from mlops.errors import ConfigError
from mlops.model import tags
from mlops.model.registry import Version

ON_AZURE = "azureml:"


def deploy(project: Project, client: MLClient, environment: Environment, version: Version) -> str:
    """Make a version the one that the batch endpoint scores with; return the endpoint's name.

    It gets a deployment of its own, which becomes the default once it exists; then others go. One
    that exists with the same model, code and image stays.
    """
    provide_compute(project, client)
    with azure_errors(f"deploy version {version.number} to the batch endpoint"):
        wanted = specs.batch_endpoint(project, environment)
        name = str(wanted.name)
        endpoint = find(lambda: client.batch_endpoints.get(name))
        if endpoint is None:
            put(client.batch_endpoints, wanted)
            endpoint = client.batch_endpoints.get(name)
        number, digest = version.number, version.tags[tags.MODEL_DIGEST]
        component = specs.batch_component(project, number, digest)
        deployment = specs.batch_deployment(project, environment, number, digest, component)
        if endpoint.defaults is None or endpoint.defaults.deployment_name != deployment.name:
            client.components.create_or_update(component)
            put(client.batch_deployments, deployment, name)
            endpoint.defaults = {"deployment_name": deployment.name}
            put(client.batch_endpoints, endpoint)
        for other in client.batch_deployments.list(name):
            if other.name != deployment.name:
                client.batch_deployments.begin_delete(str(other.name), name).result()
    return name


def submit(project: Project, client: MLClient, environment: Environment, rows: str) -> Job:
    """Start scoring a file or folder, of this machine or ``azureml:...``; return the job."""
    from mlops.serving.batch import find_files  # scikit-learn, which only scoring needs

    if not rows.startswith(ON_AZURE):
        find_files(Path(rows))
    name = str(specs.batch_endpoint(project, environment).name)
    with azure_errors("find the batch endpoint"):
        if find(lambda: client.batch_endpoints.get(name)) is None:
            raise ConfigError(
                f"There is no batch endpoint {name}.",
                f"Deploy a version first: mlops deploy {environment} --on azureml",
            )
    with tempfile.TemporaryDirectory() as folder, azure_errors(f"score {rows}"):
        if not rows.startswith(ON_AZURE) and Path(rows).is_file():
            shutil.copy2(rows, folder)  # the endpoint takes folders
            rows = folder
        started = client.batch_endpoints.invoke(
            name, inputs={"rows": Input(type="uri_folder", path=rows)}
        )
        job: Job = client.jobs.get(started.name)
    return job


def fetch(client: MLClient, name: str, out: Path) -> None:
    """Download the predictions of a job that has ended into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        found = download(client, name, "predictions", Path(folder))
        shutil.copytree(found, out, dirs_exist_ok=True)
