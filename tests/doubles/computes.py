"""Computes: clusters and attached Kubernetes clusters. Nothing runs on them: jobs run on this machine."""

from doubles.cloud import LOCATION, WORKSPACE, Resources
from doubles.store import Resource
from doubles.web import Answer, AzureError, Names, Request, Route

COMPUTE = WORKSPACE + "/computes/{compute}"


class Computes(Resources):
    """Creates, changes and deletes computes."""

    def routes(self) -> list[Route]:
        return [
            Route("GET", WORKSPACE + "/computes", self._list),
            Route("GET", COMPUTE, self._get),
            Route("PUT PATCH", COMPUTE, self._put),
            Route("DELETE", COMPUTE, self._delete),
        ]

    def _put(self, request: Request, names: Names) -> Answer:
        resource = self._wanted(request, names)
        before = self._cloud.store.get(request.path)
        kind, given = resource["properties"]["computeType"], resource["properties"].get("properties") or {}
        if before and before["properties"]["computeType"] != kind:
            raise AzureError(400, "ComputeTypeMismatch", "The type of a compute cannot be changed.")
        if before and kind == "AmlCompute":
            self._check_unchanged(before["properties"]["properties"], given)
        if kind == "Kubernetes":
            self._cloud.store.existing(resource["properties"].get("resourceId") or "")
        nodes = (
            {"allocationState": "Steady", "currentNodeCount": 0, "targetNodeCount": 0} if kind == "AmlCompute" else {}
        )
        whole = {
            "location": resource.get("location") or LOCATION,
            "tags": resource.get("tags") or {},
            "identity": resource.get("identity"),
            "properties": {**resource["properties"], "properties": {**given, **nodes}, "isAttachedCompute": not nodes},
        }
        return self._cloud.operations.put(request, whole, lambda: None)

    def _check_unchanged(self, before: Resource, given: Resource) -> None:
        for field in ("vmSize", "vmPriority"):
            if str(before.get(field)).lower() != str(given.get(field, before.get(field))).lower():
                message = f"Property {field} cannot be changed after the cluster is created."
                raise AzureError(400, "InvalidPropertyChange", message)

    def _delete(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        return self._cloud.operations.delete(request, lambda: None)
