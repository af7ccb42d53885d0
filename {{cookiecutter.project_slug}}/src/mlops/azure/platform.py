"""The Azure ML platform: a workspace with a registry and an endpoint for each environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.azure.registry import ProductionRegistry, WorkspaceRegistry
from mlops.config import Environment, Project
from mlops.errors import ConfigError
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
        from mlops.azure.workspace import connect

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
        from mlops.azure.promotion import promote

        staging = self.registry("staging")
        version = staging.version(version.number)
        if environment == "staging":
            return version
        return promote(version, staging, self.registry(environment), tell)

    def after_release(self, version: Version, environment: Environment, tell: Tell) -> None:
        from mlops.azure.after_release import schedule_monitor, update_batch_endpoint

        client, target = self.client(environment), self.target(environment)
        update_batch_endpoint(self._project, environment, client, version, tell)
        schedule_monitor(self._project, environment, client, target, tell)
