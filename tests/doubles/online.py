"""Resource Manager's view of online endpoints, managed and on Kubernetes, and of their deployments."""

import re

from doubles import errors
from doubles.cloud import LOCATION, WORKSPACE, Cloud, Resources, owner
from doubles.roles import resource_type
from doubles.servers import Servers
from doubles.store import Resource
from doubles.web import Answer, Names, Request, Route

ENDPOINT = WORKSPACE + "/onlineEndpoints/{endpoint}"
DEPLOYMENT = ENDPOINT + "/deployments/{deployment}"


class Online(Resources):
    """Endpoints and their deployments; a deployment succeeds when its server answers."""

    def __init__(self, cloud: Cloud, servers: Servers) -> None:
        super().__init__(cloud)
        self._servers = servers

    def routes(self) -> list[Route]:
        return [
            Route("GET", WORKSPACE + "/onlineEndpoints", self._list),
            Route("GET", ENDPOINT, self._get),
            Route("PUT PATCH", ENDPOINT, self._put_endpoint),
            Route("DELETE", ENDPOINT, self._delete_endpoint),
            Route("POST", ENDPOINT + "/token", self._token),
            Route("POST", ENDPOINT + "/listKeys", self._keys),
            Route("GET", ENDPOINT + "/deployments", self._list),
            Route("GET", DEPLOYMENT, self._get),
            Route("PUT PATCH", DEPLOYMENT, self._put_deployment),
            Route("DELETE", DEPLOYMENT, self._delete_deployment),
            Route("POST", DEPLOYMENT + "/getLogs", self._logs),
        ]

    def _put_endpoint(self, request: Request, names: Names) -> Answer:
        resource, name = self._wanted(request, names), names["endpoint"]
        before = self._cloud.store.get(request.path)
        given = resource.get("properties", {})
        self._check_endpoint(request.path, name, given, before)
        compute = given.get("compute")
        address = f"{self._cloud.url}/inference/{name}"
        properties = {
            **given,
            "traffic": {slot: share for slot, share in (given.get("traffic") or {}).items() if share},
            "mirrorTraffic": {slot: share for slot, share in (given.get("mirrorTraffic") or {}).items() if share},
            "publicNetworkAccess": given.get("publicNetworkAccess") or "Enabled",
            "scoringUri": f"{address}/score",
            "swaggerUri": f"{address}/swagger.json",
            "properties": given.get("properties") or {},
        }
        whole = {
            "location": resource.get("location") or LOCATION,
            "tags": resource.get("tags") or {},
            "kind": "K8S" if compute else "Managed",
            "identity": resource.get("identity") or {"type": "SystemAssigned"},
            "properties": properties,
        }
        return self._cloud.operations.put(request, whole, lambda: None, request.path)

    def _check_endpoint(self, path: str, name: str, given: Resource, before: Resource | None) -> None:
        if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]", name):
            raise errors.invalid("The endpoint name is invalid: 3 to 32 letters, digits and '-'.", "EndpointName")
        if before is None and self._cloud.store.find(resource_type(path), name):
            message = "There is already an endpoint with this name, Endpoint name needs to be unique within a region."
            raise errors.invalid(f"{message} Try some other name.")
        if before and before["properties"].get("authMode", "").lower() != str(given.get("authMode", "")).lower():
            raise errors.invalid("AuthMode cannot be changed after creation.", "AuthMode")
        compute, workspace = given.get("compute"), path.partition("/onlineEndpoints/")[0]
        if compute and self._cloud.store.get(compute if "/" in compute else f"{workspace}/computes/{compute}") is None:
            raise errors.not_found(compute)
        deployments = {d["name"]: d for d in self._cloud.store.children(f"{path}/deployments")}
        for field in ("traffic", "mirrorTraffic"):
            unknown = sorted(set(given.get(field) or {}) - set(deployments))
            if unknown:
                raise errors.invalid(f"Deployments do not exist in endpoint {name}: {', '.join(unknown)}", field)
        total = sum((given.get("traffic") or {}).values())
        if total not in (0, 100):
            raise errors.invalid(f"Traffic percentages have to sum to 0 or 100, and sum to {total}.", "Traffic")
        self._check_mirror(given)

    def _check_mirror(self, given: Resource) -> None:
        mirror = {slot: share for slot, share in (given.get("mirrorTraffic") or {}).items() if share}
        live = {slot for slot, share in (given.get("traffic") or {}).items() if share}
        if mirror and given.get("compute"):
            raise errors.invalid("Mirror traffic is not supported for Kubernetes endpoints.", "MirrorTraffic")
        if len(mirror) > 1 or max(mirror.values(), default=0) > 50:
            raise errors.invalid("At most 50% of the traffic can be mirrored, to one deployment.", "MirrorTraffic")
        if mirror.keys() & live:
            raise errors.invalid("A deployment can get live or mirrored traffic, not both.", "MirrorTraffic")

    def _delete_endpoint(self, request: Request, names: Names) -> Answer:
        self._check_idle(request, names)

        def stop() -> None:
            for deployment in self._cloud.store.children(f"{request.path}/deployments"):
                self._servers.stop(deployment["id"])

        return self._cloud.operations.delete(request, stop, request.path)

    def _put_deployment(self, request: Request, names: Names) -> Answer:
        resource, name = self._wanted(request, names), names["deployment"]
        endpoint = self._cloud.store.existing(owner(request.path))
        properties = resource["properties"]
        self._check_deployment(endpoint, request.path, name, properties)
        kubernetes = bool(endpoint["properties"].get("compute"))
        defaults: Resource = {
            "endpointComputeType": "Kubernetes" if kubernetes else "Managed",
            "scaleSettings": {"scaleType": "Default"},
            "properties": {},
            "environmentVariables": {},
        }
        if kubernetes:
            smallest = {"cpu": "100m", "memory": "500Mi"}
            defaults["containerResourceRequirements"] = {"containerResourceRequests": smallest}
        whole: Resource = {
            "location": resource.get("location") or LOCATION,
            "tags": resource.get("tags") or {},
            "sku": resource.get("sku") or {"name": "Default", "capacity": 1},
            "properties": {**defaults, **properties},
        }
        for collection in ((properties.get("dataCollector") or {}).get("collections") or {}).values():
            collection["dataCollectionMode"] = collection["dataCollectionMode"].title()  # as Azure returns it

        def serve() -> None:
            self._servers.start(request.path, whole["properties"])

        return self._cloud.operations.put(request, whole, serve, endpoint["id"])

    def _check_deployment(self, endpoint: Resource, path: str, name: str, properties: Resource) -> None:
        state = endpoint["properties"]["provisioningState"]
        if state != "Succeeded":
            where = f"in endpoint {endpoint['name']} because it is in {state} provisioning state."
            raise errors.invalid(f"Cannot create a deployment {where}")
        if self._cloud.store.get(path) and self._servers.get(path) is None:
            raise errors.invalid(
                f"Specified deployment [{name}] failed during initial provisioning and is in an unrecoverable state. "
                "Delete and re-create."
            )
        for field in (properties.get("model"), properties.get("environmentId")):
            if field and field.startswith("/") and self._cloud.store.get(field) is None:
                raise errors.not_found(field)

    def _delete_deployment(self, request: Request, names: Names) -> Answer:
        self._check_idle(request, names)
        endpoint = self._cloud.store.existing(owner(request.path))
        if endpoint["properties"]["traffic"].get(names["deployment"]):
            raise errors.invalid(
                f"Deployment {names['deployment']} has live traffic and cannot be deleted. Set its traffic to 0 first."
            )
        return self._cloud.operations.delete(request, lambda: self._servers.stop(request.path), owner(request.path))

    def _logs(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        path = request.path.removesuffix("/getLogs")
        self._cloud.store.existing(path)
        log = self._cloud.operations.logs(path)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        tail = request.json().get("tail")
        return Answer(200, {"content": "\n".join(lines[-tail:] if tail else lines)})

    def _token(self, request: Request, names: Names) -> Answer:
        """Issue the endpoint's token, for authMode AMLToken."""
        self._cloud.workspace(names)
        path = request.path.removesuffix("/token")
        mode = self._cloud.store.existing(path)["properties"]["authMode"]
        if mode.lower() != "amltoken":
            raise errors.invalid(f"Tokens are not available for an endpoint with authMode {mode}.", "AuthMode")
        token, expires = self._cloud.identity.issue(path)
        times = {"expiryTimeUtc": expires, "refreshAfterTimeUtc": expires - 600}
        return Answer(200, {"accessToken": token, "tokenType": "Bearer", **times})

    def _keys(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        mode = self._cloud.store.existing(request.path.removesuffix("/listKeys"))["properties"]["authMode"]
        if mode.lower() != "key":
            raise errors.invalid(f"Keys are not available for an endpoint with authMode {mode}.", "AuthMode")
        raise errors.invalid("The double has no keys: the project uses none.", "AuthMode")
