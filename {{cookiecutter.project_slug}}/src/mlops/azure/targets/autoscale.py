"""Scale managed deployments with their load: Azure Monitor adds and removes instances."""

from __future__ import annotations

from typing import Final

from mlops.azure.resource_manager import Resource, ResourceManager
from mlops.azure.workspace import azure_errors, find
from mlops.config import Environment, ManagedEndpoint, Project

KIND: Final = "autoscalesettings"
METRIC: Final = "CpuUtilizationPercentage"
BUSY: Final = 70  # percent of the processors, over five minutes
IDLE: Final = 30


class Autoscale:
    """The autoscale settings of the slots of an endpoint with max_instances.

    Parameters
    ----------
    group : str
        The id of the environment's resource group.
    """

    def __init__(
        self, project: Project, environment: Environment, group: str, manager: ResourceManager
    ) -> None:
        settings = project.endpoint(environment)
        assert isinstance(settings, ManagedEndpoint)
        self._manager = manager
        self._group = group
        self._region = project.azure.region
        self._endpoint = project.azure.name("endpoint", environment)
        least, most = str(settings.instances), str(settings.max_instances)
        self._capacity = {"minimum": least, "maximum": most, "default": least}

    def start(self, slot: str, deployment: str) -> None:
        """Scale a slot's deployment, which exists, by its id."""
        rules = [
            _rule(deployment, "GreaterThan", BUSY, "Increase"),
            _rule(deployment, "LessThan", IDLE, "Decrease"),
        ]
        profile = {"name": "load", "capacity": self._capacity, "rules": rules}
        wanted = {
            "location": self._region,
            "properties": {
                "enabled": True,
                "targetResourceUri": deployment,
                "profiles": [profile],
            },
        }
        with azure_errors(f"scale the {slot} slot of {self._endpoint}"):
            self._manager.send("PUT", self._path(slot), KIND, wanted)

    def stop(self, slot: str) -> None:
        """Remove a slot's setting, if it has one."""
        with azure_errors(f"stop scaling the {slot} slot of {self._endpoint}"):
            if find(lambda: self._manager.send("GET", self._path(slot), KIND)) is not None:
                self._manager.send("DELETE", self._path(slot), KIND)

    def _path(self, slot: str) -> str:
        return f"{self._group}/providers/Microsoft.Insights/{KIND}/{self._endpoint}-{slot}"


def _rule(resource: str, operator: str, threshold: int, direction: str) -> Resource:
    """Return a rule that adds or removes an instance, at most every five minutes."""
    trigger = {
        "metricName": METRIC,
        "metricResourceUri": resource,
        "timeGrain": "PT1M",
        "statistic": "Average",
        "timeWindow": "PT5M",
        "timeAggregation": "Average",
        "operator": operator,
        "threshold": threshold,
    }
    action = {"direction": direction, "type": "ChangeCount", "value": "1", "cooldown": "PT5M"}
    return {"metricTrigger": trigger, "scaleAction": action}
