"""Where models are registered and served: on this machine, or on Azure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mlops.config import Project
from mlops.errors import ConfigError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from mlops.azure.registry import WorkspaceRegistry
    from mlops.deploy.local import LocalTarget
    from mlops.deploy.target import Target
    from mlops.model.registry import Registry, Version

Tell = Callable[[str], None]


class Place(Protocol):
    """The registry and the endpoint of each environment."""

    def registry(self, environment: str) -> Registry:
        """Where the environment's versions are registered."""

    def target(self, environment: str) -> Target:
        """Where the environment's version is served."""

    def admit(self, version: Version, environment: str, tell: Tell) -> Version:
        """The version as the environment's registry has it, brought there if need be."""

    def follow_up(self, version: Version, environment: str, tell: Tell) -> None:
        """Do what else goes with a version that serves by now."""


class ThisMachine:
    """One registry, and servers on ports of this machine."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def registry(self, environment: str) -> Registry:
        from mlops.model.registry import Registry

        return Registry(self._project)

    def target(self, environment: str) -> LocalTarget:
        from mlops.deploy.local import LocalTarget

        folder = self._project.root / ".mlops" / environment
        endpoint = getattr(self._project.serving, environment)
        return LocalTarget(folder, self._project.project, endpoint)

    def admit(self, version: Version, environment: str, tell: Tell) -> Version:
        return self.registry(environment).version(version.number)

    def follow_up(self, version: Version, environment: str, tell: Tell) -> None:
        """Nothing goes with it here."""


class AzureML:
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
        from mlops.azure.registry import ProductionRegistry, WorkspaceRegistry

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
            from mlops.deploy.container_instance import ContainerInstanceTarget

            return ContainerInstanceTarget(self._project, environment, client.subscription_id)
        if kind == "kubernetes":
            from mlops.deploy.kubernetes import KubernetesTarget

            return KubernetesTarget(self._project, environment, client)
        from mlops.deploy.managed import ManagedTarget

        return ManagedTarget(self._project, environment, client)

    def admit(self, version: Version, environment: str, tell: Tell) -> Version:
        from mlops.azure.promotion import promote

        staging = self.registry("staging")
        version = staging.version(version.number)
        if environment == "staging":
            return version
        return promote(version, staging, self.registry(environment), tell)

    def follow_up(self, version: Version, environment: str, tell: Tell) -> None:
        from mlops.azure.follow_up import serve_batches, watch

        target = self.target(environment)
        serve_batches(self._project, environment, self.client(environment), version, tell)
        watch(self._project, environment, self.client(environment), target, tell)
