"""Computes: clusters of nodes, and attached Kubernetes clusters. Nothing runs on them: jobs run on this machine."""

from collections.abc import Mapping

from doubles import errors
from doubles.cloud import LOCATION, WORKSPACE, Cloud, merged
from doubles.store import Resource
from doubles.web import Answer, AzureError, Request, Route

COMPUTE = WORKSPACE + "/computes/{compute}"


class Computes:
    """Makes, changes and deletes computes."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        return [
            Route("GET", WORKSPACE + "/computes", self._list),
            Route("GET", COMPUTE, self._get),
            Route("PUT", COMPUTE, self._put),
            Route("PATCH", COMPUTE, self._patch),
            Route("DELETE", COMPUTE, self._delete),
        ]

    def _start(self, request: Request, names: Mapping[str, str]) -> Resource | None:
        self._cloud.authorize(request)
        self._cloud.workspace(names)
        return self._cloud.store.get(request.path)

    def _list(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._start(request, names)
        return Answer(200, {"value": self._cloud.store.children(request.path)})

    def _get(self, request: Request, names: Mapping[str, str]) -> Answer:
        found = self._start(request, names)
        if found is None:
            raise errors.not_found(request.path)
        return Answer(200, found)

    def _put(self, request: Request, names: Mapping[str, str]) -> Answer:
        before = self._start(request, names)
        return self._save(request, before, request.json())

    def _patch(self, request: Request, names: Mapping[str, str]) -> Answer:
        before = self._start(request, names)
        if before is None:
            raise errors.not_found(request.path)
        return self._save(request, before, merged(before, request.json()))

    def _save(self, request: Request, before: Resource | None, resource: Resource) -> Answer:
        if self._cloud.operations.busy(request.path):
            raise errors.conflict(request.path)
        kind, given = resource["properties"]["computeType"], resource["properties"].get("properties") or {}
        if before and before["properties"]["computeType"] != kind:
            raise AzureError(400, "ComputeTypeMismatch", "The type of a compute cannot be changed.")
        if before and kind == "AmlCompute":
            self._check_unchanged(before["properties"]["properties"], given)
        if kind == "Kubernetes":
            cluster = resource["properties"].get("resourceId") or ""
            if self._cloud.store.get(cluster) is None:
                raise errors.not_found(cluster)
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

    def _delete(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._start(request, names)
        return self._cloud.operations.delete(request, lambda: None)
