"""The Azure ML platform: a workspace with a registry and an endpoint for each environment."""

from __future__ import annotations

from azure.ai.ml import MLClient

from mlops.azure import batch, specs
from mlops.azure.credential import make_credential
from mlops.azure.images import Images
from mlops.azure.registry import ProductionRegistry, WorkspaceRegistry
from mlops.azure.resource_manager import ResourceManager
from mlops.azure.targets.autoscale import Autoscale
from mlops.azure.targets.container_instance import ContainerInstanceTarget
from mlops.azure.targets.managed import KubernetesTarget, ManagedTarget
from mlops.azure.workspace import azure_errors, connect, put
from mlops.config import Environment, ManagedEndpoint, Project
from mlops.errors import ConfigError
from mlops.model.registry import Version
from mlops.release.target import Target, Tell


class AzurePlatform:
    """The workspaces and endpoints that project.yml names."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._clients: dict[Environment, MLClient] = {}
        self._manager = ResourceManager(make_credential())

    def client(self, environment: Environment) -> MLClient:
        """Return the client of an environment's workspace."""
        if environment not in self._clients:
            self._clients[environment] = connect(self._project, environment)
        return self._clients[environment]

    def images(self, environment: Environment) -> Images:
        """Return the images of an environment."""
        own = self.client(environment)
        return Images(self._project, self.client("staging"), own, self._manager)

    def registry(self, environment: Environment) -> WorkspaceRegistry:
        return self._production() if environment == "production" else self._staging()

    def target(self, environment: Environment) -> Target:
        settings = self._project.endpoint(environment)
        kind = settings.target
        if kind == "local":
            raise ConfigError(
                f"serving.{environment}.target is local, which is not served on Azure.",
                "Set it to managed, kubernetes or container-instance, or omit --on azureml.",
            )
        client, images = self.client(environment), self.images(environment)
        group = f"/subscriptions/{client.subscription_id}/resourceGroups/"
        group += client.resource_group_name
        if kind == "container-instance":
            return ContainerInstanceTarget(self._project, environment, group, self._manager, images)
        if kind == "kubernetes":
            return KubernetesTarget(self._project, environment, client, images)
        autoscale = None
        if isinstance(settings, ManagedEndpoint) and settings.max_instances:
            autoscale = Autoscale(self._project, environment, group, self._manager)
        return ManagedTarget(self._project, environment, client, images, autoscale)

    def promote(self, version: Version, environment: Environment, tell: Tell) -> Version:
        self.images(environment).provide_environment(tell)
        version = self._staging().version(version.number)
        return self._production().promote(version, tell) if environment == "production" else version

    def after_release(self, version: Version, environment: Environment, tell: Tell) -> None:
        if (self._project.root / "azureml" / "batch").is_dir():
            self.images(environment).provide_environment()
            name = batch.deploy(self._project, self.client(environment), environment, version)
            tell(f"The batch endpoint {name} scores with version {version.number}.")
        online = self._project.endpoint(environment).target in ("managed", "kubernetes")
        if environment == "production" and online and specs.is_monitored(self._project):
            self._schedule_monitor(environment, tell)

    def _staging(self) -> WorkspaceRegistry:
        return WorkspaceRegistry(self._project, self.client("staging"))

    def _production(self) -> ProductionRegistry:
        return ProductionRegistry(self._project, self.client("production"), self._staging())

    def _schedule_monitor(self, environment: Environment, tell: Tell) -> None:
        """Schedule the monitoring of the online endpoint."""
        slot = self.target(environment).describe().live
        assert slot is not None
        with azure_errors(f"schedule the monitoring of {environment}"):
            monitor = specs.monitor(self._project, environment, slot)
            put(self.client(environment).schedules, monitor)
        tell(f"The schedule {monitor.name} monitors production's requests and responses.")
