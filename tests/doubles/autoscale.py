"""Azure Monitor's autoscale settings. Nothing scales: a test changes a deployment's instances itself.

Sources: MicrosoftDocs/azure-ai-docs, how-to-autoscale-endpoints.md (the target is the deployment, its metric);
learn.microsoft.com/rest/api/monitor/autoscale-settings/create-or-update.
"""

from doubles.cloud import GROUP, Cloud
from doubles.web import Answer, AzureError, Names, Request, Route

SETTING = GROUP + "/providers/Microsoft.Insights/autoscalesettings/{name}"
METRICS = ("CpuUtilizationPercentage", "CpuMemoryUtilizationPercentage", "DiskUtilization")


class AutoscaleSettings:
    """Answers the requests about autoscale settings."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        return [
            Route("GET", SETTING, self._get),
            Route("PUT", SETTING, self._put),
            Route("DELETE", SETTING, self._delete),
        ]

    def _get(self, request: Request, _: Names) -> Answer:
        return Answer(200, self._cloud.store.existing(request.path))

    def _put(self, request: Request, _: Names) -> Answer:
        resource = request.json()
        properties = resource["properties"]
        self._cloud.store.existing(properties["targetResourceUri"])
        for profile in properties["profiles"]:
            least, default, most = (int(profile["capacity"][one]) for one in ("minimum", "default", "maximum"))
            directions = {rule["scaleAction"]["direction"] for rule in profile["rules"]}
            metrics = {rule["metricTrigger"]["metricName"] for rule in profile["rules"]}
            if not least <= default <= most or directions != {"Increase", "Decrease"} or metrics - {*METRICS}:
                raise AzureError(400, "InvalidAutoscaleSetting", "The autoscale setting is invalid.")
        new = self._cloud.store.get(request.path) is None
        return Answer(201 if new else 200, self._cloud.store.put(request.path, resource))

    def _delete(self, request: Request, _: Names) -> Answer:
        return Answer(200 if self._cloud.store.remove(request.path) else 204)
