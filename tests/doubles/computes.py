"""Computes: clusters and attached Kubernetes clusters. Nothing runs on them: jobs run on this machine."""

import json
import time
from email.message import Message

from doubles import SUBSCRIPTION
from doubles.az import AzureCli, Command
from doubles.cloud import LOCATION, WORKSPACE, Resources
from doubles.roles import Need, needed
from doubles.store import Resource
from doubles.web import Answer, AzureError, Names, Request, Route

IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
COMPUTE = WORKSPACE + "/computes/{compute}"


def compute_needs(request: Request, _: Names) -> list[Need]:
    """Return what a change of a compute needs: also on the identities and the cluster that it names.

    Source: how-to-assign-roles.md (user-assigned identity of a compute cluster; note 2, on attaching AKS). Every PUT is
    checked, because it holds the whole object.
    """
    content = request.json()
    lent = ((content.get("identity") or {}).get("userAssignedIdentities") or {}).keys()
    needs = [needed(request.method, request.path)]
    needs += [Need(f"{IDENTITIES}/assign/action", identity, linked=True) for identity in lent]
    if content["properties"]["computeType"] == "Kubernetes":
        cluster = content["properties"]["resourceId"]
        needs.append(Need("Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action", cluster))
        needs.append(
            Need("Microsoft.Resources/subscriptions/resourceGroups/write", cluster.partition("/providers/")[0])
        )
    return needs


class Computes(Resources):
    """Creates, changes and deletes computes."""

    def routes(self) -> list[Route]:
        return [
            Route("GET", WORKSPACE + "/computes", self._list),
            Route("GET", COMPUTE, self._get),
            Route("PUT PATCH", COMPUTE, self._put, needs=compute_needs),
            Route("DELETE", COMPUTE, self._delete),
        ]

    def add_to(self, cli: AzureCli) -> None:
        """Add the command that attaches a cluster; it has no other use of the extension `ml`."""
        cli.commands["ml compute attach"] = self._attach

    def _attach(self, command: Command) -> Resource:
        names = {
            "subscription": SUBSCRIPTION,
            "group": command.option("--resource-group", "-g"),
            "workspace": command.option("--workspace-name", "-w"),
            "compute": command.option("--name", "-n"),
        }
        properties = {
            "computeType": command.option("--type", "-t"),
            "resourceId": command.option("--resource-id"),
            "properties": {"namespace": command.option("--namespace", default="default")},
        }
        kind = {"type": command.option("--identity-type", default="SystemAssigned")}
        body = json.dumps({"location": LOCATION, "identity": kind, "properties": properties}).encode()
        request = Request("PUT", COMPUTE.format(**names), {}, Message(), body, "", command.caller)
        self._cloud.authorize(request.caller, compute_needs(request, names))
        self._put(request, names)
        while self._cloud.operations.busy(request.path):
            time.sleep(0.05)
        return self._cloud.store.existing(request.path)

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
