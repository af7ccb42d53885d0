"""What everything on Azure is called: one pattern each, from the prefix and the environment."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.config import Project


@dataclass(frozen=True)
class Names:
    """The names of one environment's resources.

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
        return f"rg-{self.prefix}-{self.environment}"

    @property
    def workspace(self) -> str:
        return f"mlw-{self.prefix}-{self.environment}"

    @property
    def registry(self) -> str:
        """The container registry."""
        return f"cr{self.prefix}{self.environment}"

    @property
    def storage(self) -> str:
        return f"st{self.prefix}{self.environment}"

    @property
    def key_vault(self) -> str:
        return f"kv-{self.prefix}-{self.environment}"

    @property
    def identity(self) -> str:
        """The user-assigned identity that jobs and endpoints run as."""
        return f"id-{self.prefix}-{self.environment}"

    @property
    def network(self) -> str:
        return f"vnet-{self.prefix}-{self.environment}"

    @property
    def container_subnet(self) -> str:
        """The subnet of the container groups, which have no public address."""
        return "snet-aci"

    @property
    def cluster(self) -> str:
        """The AKS cluster."""
        return f"aks-{self.prefix}-{self.environment}"

    @property
    def attached_cluster(self) -> str:
        """The AKS cluster as a compute of the workspace."""
        return "aks"

    @property
    def compute(self) -> str:
        """The compute cluster of jobs and batch scoring."""
        return "cpu-cluster"

    @property
    def endpoint(self) -> str:
        return f"{self.prefix}-{self.environment}"

    @property
    def batch_endpoint(self) -> str:
        return f"{self.prefix}-{self.environment}-batch"

    def container_group(self, slot: str) -> str:
        """The container group that is the slot ``blue`` or ``green``."""
        return f"ci-{self.prefix}-{self.environment}-{slot}"


def names(project: Project, environment: str) -> Names:
    """The names of ``staging`` or ``production``."""
    return Names(environment, project.azure.prefix)
