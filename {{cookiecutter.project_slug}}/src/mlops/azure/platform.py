"""The platform of Azure ML: a workspace for each environment, with its registry and endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mlops.azure.registry import ProductionRegistry, WorkspaceRegistry
from mlops.config import Project
from mlops.errors import ConfigError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from mlops.model.registry import Version
    from mlops.release.target import Target

Tell = Callable[[str], None]


class AzurePlatform:
    """A workspace for each environment, with the endpoints that project.yml names."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._clients: dict[str, MLClient] = {}

    def client(self, environment: str) -> MLClient:
        """The client of an environment's workspace."""
        from mlops.azure.workspace import connect

        if environment not in self._clients:
            self._clients[environment] = connect(self._project, environment)
        return self._clients[environment]

    def registry(self, environment: str) -> WorkspaceRegistry:
        staging = WorkspaceRegistry(self._project, self.client("staging"))
        if environment == "staging":
            return staging
        return ProductionRegistry(self._project, self.client(environment), staging)

    def target(self, environment: str) -> Target:
        kind = getattr(self._project.serving, environment).target
        if kind == "local":
            raise ConfigError(
                f"serving.{environment}.target is local: nothing of it is served on Azure.",
                "Set it to managed, kubernetes or container-instance; or leave --on azureml out.",
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

    def promote(self, version: Version, environment: str, tell: Tell) -> Version:
        from mlops.azure.promotion import promote

        staging = self.registry("staging")
        version = staging.version(version.number)
        if environment == "staging":
            return version
        return promote(version, staging, self.registry(environment), tell)

    def after_release(self, version: Version, environment: str, tell: Tell) -> None:
        from mlops.azure.after_release import serve_batches, watch

        target = self.target(environment)
        serve_batches(self._project, environment, self.client(environment), version, tell)
        watch(self._project, environment, self.client(environment), target, tell)
