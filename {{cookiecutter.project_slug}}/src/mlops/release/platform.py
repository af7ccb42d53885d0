"""Where models are registered and served: this machine, or Azure ML."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mlops.config import Environment, Project

if TYPE_CHECKING:
    from mlops.model.registry import Registry, Version
    from mlops.release.local import LocalTarget
    from mlops.release.target import Target

Tell = Callable[[str], None]


class Platform(Protocol):
    """The registry and the endpoint of each environment."""

    def registry(self, environment: Environment) -> Registry:
        """Return the environment's registry."""

    def target(self, environment: Environment) -> Target:
        """Return the environment's endpoint."""

    def promote(self, version: Version, environment: Environment, tell: Tell) -> Version:
        """Return the version from the environment's registry, copied there if missing."""

    def after_release(self, version: Version, environment: Environment, tell: Tell) -> None:
        """Update what else depends on the released version."""


class LocalPlatform:
    """One registry, and servers on ports of this machine."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def registry(self, environment: Environment) -> Registry:
        from mlops.model.registry import Registry

        return Registry(self._project)

    def target(self, environment: Environment) -> LocalTarget:
        from mlops.release.local import LocalTarget

        return LocalTarget(self._project, environment)

    def promote(self, version: Version, environment: Environment, tell: Tell) -> Version:
        return self.registry(environment).version(version.number)

    def after_release(self, version: Version, environment: Environment, tell: Tell) -> None:
        """Do nothing: only the endpoint depends on the version."""
