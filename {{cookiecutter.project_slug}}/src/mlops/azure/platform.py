"""The Azure ML platform: a workspace with a registry and an endpoint for each environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.azure import specs
from mlops.azure.assets import provide_compute, provide_environment
from mlops.azure.registry import ProductionRegistry, WorkspaceRegistry, promote
from mlops.azure.workspace import azure_errors, connect, finish
from mlops.config import Environment, Project
from mlops.errors import ConfigError
from mlops.model import tags
from mlops.release.platform import Tell

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from mlops.model.registry import Version
    from mlops.release.target import Target


class AzurePlatform:
    """The workspaces and endpoints that project.yml names."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._clients: dict[Environment, MLClient] = {}

    def client(self, environment: Environment) -> MLClient:
        """Return the client of an environment's workspace."""
        if environment not in self._clients:
            self._clients[environment] = connect(self._project, environment)
        return self._clients[environment]

    def registry(self, environment: Environment) -> WorkspaceRegistry:
        staging = WorkspaceRegistry(self._project, self.client("staging"))
        if environment == "staging":
            return staging
        return ProductionRegistry(self._project, self.client(environment), staging)

    def target(self, environment: Environment) -> Target:
        kind = self._project.endpoint(environment).target
        if kind == "local":
            raise ConfigError(
                f"serving.{environment}.target is local, which is not served on Azure.",
                "Set it to managed, kubernetes or container-instance, or omit --on azureml.",
            )
        client = self.client(environment)
        if kind == "container-instance":
            from mlops.azure.targets.container_instance import ContainerInstanceTarget

            return ContainerInstanceTarget(self._project, environment, client.subscription_id)
        if kind == "kubernetes":
            from mlops.azure.targets.kubernetes import KubernetesTarget

            return KubernetesTarget(self._project, environment, client)
        from mlops.azure.targets.managed import ManagedTarget

        return ManagedTarget(self._project, environment, client)

    def promote(self, version: Version, environment: Environment, tell: Tell) -> Version:
        staging = self.registry("staging")
        version = staging.version(version.number)
        if environment == "staging":
            return version
        return promote(version, staging, self.registry(environment), tell)

    def after_release(self, version: Version, environment: Environment, tell: Tell) -> None:
        client, target = self.client(environment), self.target(environment)
        update_batch_endpoint(self._project, environment, client, version, tell)
        schedule_monitor(self._project, environment, client, target, tell)


def update_batch_endpoint(
    project: Project, environment: Environment, client: MLClient, version: Version, tell: Tell
) -> None:
    """Make the version the default of the batch endpoint, if the project has one."""
    from azure.core.exceptions import ResourceNotFoundError

    if not (project.root / "azureml" / "batch").is_dir():
        return
    model = f"azureml:{version.name}:{version.number}"
    digest = version.tags[tags.MODEL_DIGEST]
    provide_environment(project, client)
    provide_compute(project, client)
    with azure_errors(f"deploy version {version.number} to the batch endpoint"):
        endpoint = specs.batch_endpoint(project, environment)
        deployment = specs.batch_deployment(project, environment, model, digest, version.number)
        name, slot = str(endpoint.name), str(deployment.name)
        try:
            endpoint = client.batch_endpoints.get(name)
        except ResourceNotFoundError:
            poller = client.batch_endpoints.begin_create_or_update(endpoint)
            finish(poller, lambda: client.batch_endpoints.get(name))
        poller = client.batch_deployments.begin_create_or_update(deployment)
        finish(poller, lambda: client.batch_deployments.get(slot, name))
        if endpoint.defaults is None or endpoint.defaults.deployment_name != slot:
            endpoint.defaults = {"deployment_name": slot}
            poller = client.batch_endpoints.begin_create_or_update(endpoint)
            finish(poller, lambda: client.batch_endpoints.get(name))
    tell(f"The batch endpoint {name} serves version {version.number}.")


def schedule_monitor(
    project: Project, environment: Environment, client: MLClient, target: Target, tell: Tell
) -> None:
    """Schedule the monitoring of production's online endpoint, if the project has it."""
    online = project.endpoint(environment).target in ("managed", "kubernetes")
    if environment != "production" or not online or not specs.is_monitored(project):
        return
    slot = target.describe().live
    assert slot is not None
    with azure_errors(f"schedule the monitoring of {environment}"):
        monitor = specs.monitor(project, environment, slot)
        poller = client.schedules.begin_create_or_update(monitor)
        finish(poller, lambda: client.schedules.get(str(monitor.name)))
    tell(f"The schedule {monitor.name} monitors production's requests and responses.")
