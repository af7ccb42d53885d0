"""The target on AKS: an Azure ML online endpoint whose containers run in your own cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.azure import specs
from mlops.azure.targets.managed import ManagedTarget
from mlops.azure.workspace import azure_errors, finish

if TYPE_CHECKING:
    from azure.ai.ml.entities import OnlineEndpoint


class KubernetesTarget(ManagedTarget):
    """A managed endpoint's counterpart in a cluster, which is attached to the workspace.

    Clients authenticate with the endpoint's own token; Microsoft Entra is not supported.
    """

    def _plan(self) -> OnlineEndpoint:
        self._attach()
        return super()._plan()

    def _attach(self) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        name = self._project.azure.name("attached_cluster", self._environment)
        with azure_errors(f"attach the AKS cluster as {name}"):
            try:
                self._client.compute.get(name)
            except ResourceNotFoundError:
                subscription = self._client.subscription_id
                cluster = specs.kubernetes_compute(self._project, self._environment, subscription)
                poller = self._client.compute.begin_create_or_update(cluster)
                finish(poller, lambda: self._client.compute.get(name))
