"""Where models are registered and served: on this machine, or on Azure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mlops.config import Project

if TYPE_CHECKING:
    from mlops.model.registry import Registry, Version
    from mlops.release.local import LocalTarget
    from mlops.release.target import Target

Tell = Callable[[str], None]


class Platform(Protocol):
    """The registry and the endpoint of each environment."""

    def registry(self, environment: str) -> Registry:
        """Where the environment's versions are registered."""

    def target(self, environment: str) -> Target:
        """Where the environment's version is served."""

    def promote(self, version: Version, environment: str, tell: Tell) -> Version:
        """The version as the environment's registry has it, brought there if need be."""

    def after_release(self, version: Version, environment: str, tell: Tell) -> None:
        """Do what else goes with a version that serves by now."""


class LocalPlatform:
    """One registry, and servers on ports of this machine."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def registry(self, environment: str) -> Registry:
        from mlops.model.registry import Registry

        return Registry(self._project)

    def target(self, environment: str) -> LocalTarget:
        from mlops.release.local import LocalTarget

        folder = self._project.root / ".mlops" / environment
        endpoint = getattr(self._project.serving, environment)
        return LocalTarget(folder, self._project.project, endpoint)

    def promote(self, version: Version, environment: str, tell: Tell) -> Version:
        return self.registry(environment).version(version.number)

    def after_release(self, version: Version, environment: str, tell: Tell) -> None:
        """Nothing goes with it here."""
