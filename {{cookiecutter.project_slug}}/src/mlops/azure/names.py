"""The names of an environment's resources."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.config import Project
from mlops.naming import RULES


@dataclass(frozen=True)
class Names:
    """The names of one environment's resources, from the patterns in `mlops.naming`.

    Parameters
    ----------
    environment : str
        staging or production.
    prefix : str
        ``azure.prefix`` of project.yml.
    """

    environment: str
    prefix: str

    @property
    def resource_group(self) -> str:
        return self._name("resource_group")

    @property
    def workspace(self) -> str:
        return self._name("workspace")

    @property
    def registry(self) -> str:
        """Return the name of the container registry."""
        return self._name("registry")

    @property
    def identity(self) -> str:
        """Return the name of the identity that jobs and endpoints run as."""
        return self._name("identity")

    @property
    def network(self) -> str:
        return self._name("network")

    @property
    def container_subnet(self) -> str:
        return self._name("container_subnet")

    @property
    def cluster(self) -> str:
        """Return the name of the AKS cluster."""
        return self._name("cluster")

    @property
    def attached_cluster(self) -> str:
        """Return the name of the AKS cluster as a compute of the workspace."""
        return self._name("attached_cluster")

    @property
    def compute(self) -> str:
        """Return the name of the compute cluster for jobs and batch scoring."""
        return self._name("compute")

    @property
    def endpoint(self) -> str:
        return self._name("endpoint")

    @property
    def batch_endpoint(self) -> str:
        return self._name("batch_endpoint")

    def container_group(self, slot: str) -> str:
        """Return the name of the container group for a slot, ``blue`` or ``green``."""
        return RULES["container_group"].name(self.prefix, self.environment, slot)

    def _name(self, key: str) -> str:
        return RULES[key].name(self.prefix, self.environment)


def names(project: Project, environment: str) -> Names:
    """Return the names of an environment's resources."""
    return Names(environment, project.azure.prefix)
