"""What else a workspace does with a version that serves: batch scoring, and watching it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mlops.azure import specs
from mlops.azure.assets import provide_compute, provide_environment
from mlops.azure.workspace import azure_errors, finish
from mlops.config import Project

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from mlops.model.registry import Version
    from mlops.release.target import Target

Tell = Callable[[str], None]


def serve_batches(
    project: Project, environment: str, client: MLClient, version: Version, tell: Tell
) -> None:
    """Let the batch endpoint score with the version, if the project has one."""
    from azure.core.exceptions import ResourceNotFoundError

    if not (project.root / "azureml" / "batch").is_dir():
        return
    model = f"azureml:{version.name}:{version.number}"
    digest = version.tags["mlops.model_digest"]
    provide_environment(project, client)
    provide_compute(project, client)
    with azure_errors(f"bring version {version.number} to the batch endpoint"):
        endpoint = specs.batch_endpoint(project, environment)
        deployment = specs.batch_deployment(project, environment, model, digest, version.number)
        name, own = str(endpoint.name), str(deployment.name)
        try:
            endpoint = client.batch_endpoints.get(name)
        except ResourceNotFoundError:
            made = client.batch_endpoints.begin_create_or_update(endpoint)
            finish(made, lambda: client.batch_endpoints.get(name))
        made = client.batch_deployments.begin_create_or_update(deployment)
        finish(made, lambda: client.batch_deployments.get(own, name))
        if endpoint.defaults is None or endpoint.defaults.deployment_name != own:
            endpoint.defaults = {"deployment_name": own}
            made = client.batch_endpoints.begin_create_or_update(endpoint)
            finish(made, lambda: client.batch_endpoints.get(name))
    tell(f"The batch endpoint {name} scores with version {version.number}.")


def watch(project: Project, environment: str, client: MLClient, target: Target, tell: Tell) -> None:
    """Have production's requests and answers watched, if the project asks for it."""
    online = getattr(project.serving, environment).target in ("managed", "kubernetes")
    if environment != "production" or not online or not specs.monitored(project):
        return
    slot = target.describe().live
    assert slot is not None
    with azure_errors(f"watch {environment}"):
        monitor = specs.monitor(project, environment, slot)
        made = client.schedules.begin_create_or_update(monitor)
        finish(made, lambda: client.schedules.get(str(monitor.name)))
    tell(f"The schedule {monitor.name} watches what production is asked and answers.")
