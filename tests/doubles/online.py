"""Online endpoints, managed and on Kubernetes: every deployment is a real process of Azure ML's inference server."""

import http.client
import json
import re
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from doubles import errors
from doubles.cloud import LOCATION, WORKSPACE, Cloud, merged
from doubles.identity import ML_AUDIENCE
from doubles.processes import Child, free_port, wait_until_ready
from doubles.store import Resource
from doubles.web import Answer, AzureError, Request, Route

ENDPOINT = WORKSPACE + "/onlineEndpoints/{endpoint}"
DEPLOYMENT = ENDPOINT + "/deployments/{deployment}"
START_S = 120
# azmlinfsrv itself listens on every interface and has no option against it.
SERVER = "from azureml_inference_server_http import amlserver; amlserver.DEFAULT_HOST = '127.0.0.1'; amlserver.run()"


@dataclass
class Server:
    """The process of a deployment."""

    child: Child
    port: int


class Online:
    """Endpoints, their deployments, and the requests that they score."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._servers: dict[str, Server] = {}
        self._endpoints: dict[str, str] = {}
        self._credits: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        return [
            Route("GET", WORKSPACE + "/onlineEndpoints", self._list),
            Route("GET", ENDPOINT, self._get),
            Route("PUT", ENDPOINT, self._put_endpoint),
            Route("PATCH", ENDPOINT, self._patch_endpoint),
            Route("DELETE", ENDPOINT, self._delete_endpoint),
            Route("POST", ENDPOINT + "/token", self._token),
            Route("POST", ENDPOINT + "/listKeys", self._keys),
            Route("GET", ENDPOINT + "/deployments", self._list),
            Route("GET", DEPLOYMENT, self._get),
            Route("PUT", DEPLOYMENT, self._put_deployment),
            Route("PATCH", DEPLOYMENT, self._patch_deployment),
            Route("DELETE", DEPLOYMENT, self._delete_deployment),
            Route("POST", DEPLOYMENT + "/getLogs", self._logs),
            Route("GET POST", "/inference/{endpoint}/{rest...}", self._score),
        ]

    def _list(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._cloud.authorize(request)
        self._cloud.workspace(names)
        if "endpoint" in names:
            self._existing(request.path.rpartition("/")[0])
        return Answer(200, {"value": self._cloud.store.children(request.path)})

    def _get(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._cloud.authorize(request)
        self._cloud.workspace(names)
        return Answer(200, self._existing(request.path))

    def _existing(self, path: str) -> Resource:
        resource = self._cloud.store.get(path)
        if resource is None:
            raise errors.not_found(path)
        return resource

    def _start(self, request: Request, names: Mapping[str, str]) -> str:
        """Check what every change has to pass; returns the workspace."""
        self._cloud.authorize(request)
        workspace = self._cloud.workspace(names)
        if self._cloud.operations.busy(_endpoint(request.path)):
            raise errors.conflict(_endpoint(request.path))
        return workspace

    def _put_endpoint(self, request: Request, names: Mapping[str, str]) -> Answer:
        workspace = self._start(request, names)
        return self._save_endpoint(request, workspace, names["endpoint"], request.json())

    def _patch_endpoint(self, request: Request, names: Mapping[str, str]) -> Answer:
        workspace = self._start(request, names)
        whole = merged(self._existing(request.path), request.json())
        return self._save_endpoint(request, workspace, names["endpoint"], whole)

    def _save_endpoint(self, request: Request, workspace: str, name: str, resource: Resource) -> Answer:
        before = self._cloud.store.get(request.path)
        given = resource.get("properties", {})
        self._check_endpoint(request.path, workspace, name, given, before)
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
        with self._lock:
            self._endpoints[name.lower()] = request.path
        return self._cloud.operations.put(request, whole, lambda: None, request.path)

    def _check_endpoint(self, path: str, workspace: str, name: str, given: Resource, before: Resource | None) -> None:
        if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]", name):
            raise errors.invalid("The endpoint name is invalid: 3 to 32 letters, digits and '-'.", "EndpointName")
        owner = self._endpoints.get(name.lower(), path)
        if before is None and owner != path and self._cloud.store.get(owner):
            message = "There is already an endpoint with this name, Endpoint name needs to be unique within a region."
            raise errors.invalid(f"{message} Try some other name.")
        if before and before["properties"].get("authMode", "").lower() != str(given.get("authMode", "")).lower():
            raise errors.invalid("AuthMode cannot be changed after creation.", "AuthMode")
        compute = given.get("compute")
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

    def _delete_endpoint(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._start(request, names)

        def stop() -> None:
            for deployment in self._cloud.store.children(f"{request.path}/deployments"):
                self._stop(deployment["id"])

        return self._cloud.operations.delete(request, stop, request.path)

    def _put_deployment(self, request: Request, names: Mapping[str, str]) -> Answer:
        workspace = self._start(request, names)
        return self._save_deployment(request, workspace, names, request.json())

    def _patch_deployment(self, request: Request, names: Mapping[str, str]) -> Answer:
        workspace = self._start(request, names)
        return self._save_deployment(request, workspace, names, merged(self._existing(request.path), request.json()))

    def _save_deployment(
        self, request: Request, workspace: str, names: Mapping[str, str], resource: Resource
    ) -> Answer:
        endpoint = self._existing(_endpoint(request.path))
        state = endpoint["properties"]["provisioningState"]
        if state != "Succeeded":
            where = f"in endpoint {names['endpoint']} because it is in {state} provisioning state."
            raise errors.invalid(f"Cannot create a deployment {where}")
        if self._cloud.store.get(request.path) and request.path.lower() not in self._servers:
            raise errors.invalid(
                f"Specified deployment [{names['deployment']}] failed during initial provisioning and is in an "
                "unrecoverable state. Delete and re-create."
            )
        properties = resource["properties"]
        for field in (properties.get("model"), properties.get("environmentId")):
            if field and field.startswith("/") and self._cloud.store.get(field) is None:
                raise errors.not_found(field)
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
            collection["dataCollectionMode"] = collection["dataCollectionMode"].title()  # as Azure answers

        def serve() -> None:
            self._serve(workspace, request.path, names["endpoint"], whole["properties"])

        return self._cloud.operations.put(request, whole, serve, _endpoint(request.path))

    def _serve(self, workspace: str, path: str, endpoint: str, properties: Resource) -> None:
        """Start the server of a deployment; the one before, if any, is ended once the new one answers."""
        home = self._cloud.folder / "deployments" / endpoint / f"{path.rsplit('/', 1)[1]}-{time.time_ns()}"
        app, environment = unpack(self._cloud, workspace, home, properties)
        port = free_port()
        log = self._cloud.operations.logs(path)
        log.unlink(missing_ok=True)
        script = properties["codeConfiguration"]["scoringScript"]
        command = [sys.executable, "-c", SERVER, "--port", str(port), "--entry_script", str(app / script)]
        child = self._cloud.processes.start(command, home, log, environment)
        if not wait_until_ready(child, f"http://127.0.0.1:{port}/", START_S):
            child.stop()
            raise errors.crashed()
        with self._lock:
            old = self._servers.get(path.lower())
            self._servers[path.lower()] = Server(child, port)
        if old:
            old.child.stop()

    def _delete_deployment(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._start(request, names)
        endpoint = self._existing(_endpoint(request.path))
        if endpoint["properties"]["traffic"].get(names["deployment"]):
            raise errors.invalid(
                f"Deployment {names['deployment']} has live traffic and cannot be deleted. Set its traffic to 0 first."
            )
        return self._cloud.operations.delete(request, lambda: self._stop(request.path), _endpoint(request.path))

    def _stop(self, path: str) -> None:
        with self._lock:
            server = self._servers.pop(path.lower(), None)
        if server:
            server.child.stop()

    def _logs(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._cloud.authorize(request)
        self._cloud.workspace(names)
        path = request.path.removesuffix("/getLogs")
        self._existing(path)
        log = self._cloud.operations.logs(path)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        tail = request.json().get("tail")
        return Answer(200, {"content": "\n".join(lines[-tail:] if tail else lines)})

    def _token(self, request: Request, names: Mapping[str, str]) -> Answer:
        """The endpoint's own token, for authMode AMLToken."""
        self._cloud.authorize(request)
        self._cloud.workspace(names)
        path = request.path.removesuffix("/token")
        mode = self._existing(path)["properties"]["authMode"]
        if mode.lower() != "amltoken":
            raise errors.invalid(f"Tokens are not available for an endpoint with authMode {mode}.", "AuthMode")
        token, expires = self._cloud.identity.issue(path)
        times = {"expiryTimeUtc": expires, "refreshAfterTimeUtc": expires - 600}
        return Answer(200, {"accessToken": token, "tokenType": "Bearer", **times})

    def _keys(self, request: Request, names: Mapping[str, str]) -> Answer:
        self._cloud.authorize(request)
        self._cloud.workspace(names)
        mode = self._existing(request.path.removesuffix("/listKeys"))["properties"]["authMode"]
        if mode.lower() != "key":
            raise errors.invalid(f"Keys are not available for an endpoint with authMode {mode}.", "AuthMode")
        raise errors.invalid("The double has no keys: the project uses none.", "AuthMode")

    def _score(self, request: Request, names: Mapping[str, str]) -> Answer:
        """Pass a request on to the deployment that it names, or to one by the endpoint's weights."""
        path = self._endpoints.get(names["endpoint"].lower(), "")
        endpoint = self._cloud.store.get(path)
        if endpoint is None:
            raise AzureError(404, "NotFound", "The endpoint does not exist.")
        properties = endpoint["properties"]
        audience = ML_AUDIENCE if properties["authMode"].lower() == "aadtoken" else path
        self._cloud.identity.check(request.headers.get("Authorization"), [audience])
        slot = request.headers.get("azureml-model-deployment") or self._choose(path, properties["traffic"])
        server = self._servers.get(f"{path}/deployments/{slot}".lower())
        if slot is None or server is None:
            raise AzureError(404, "NotFound", "The endpoint doesn't have any valid deployment with positive weight.")
        self._mirror(path, properties["mirrorTraffic"], request, names["rest"])
        settings = self._existing(f"{path}/deployments/{slot}")["properties"].get("requestSettings") or {}
        return _forward(request, names["rest"], slot, server, _seconds(settings.get("requestTimeout")))

    def _choose(self, path: str, weights: Mapping[str, int]) -> str | None:
        """The deployment for the next request, by smooth weighted round-robin."""
        if not weights:
            return None
        with self._lock:
            kept = self._credits.get(path, {})
            credit = {slot: kept.get(slot, 0) + share for slot, share in weights.items()}
            chosen = max(credit, key=lambda slot: credit[slot])
            credit[chosen] -= sum(weights.values())
            self._credits[path] = credit
        return chosen

    def _mirror(self, path: str, weights: Mapping[str, int], request: Request, rest: str) -> None:
        """Send a share of the requests to a deployment whose answers nobody sees."""
        if not weights:
            return
        slot = self._choose(f"{path}#mirror", {**weights, "": 100 - sum(weights.values())})
        server = self._servers.get(f"{path}/deployments/{slot}".lower())
        if slot and server:
            call = self._cloud.site.record("MIRROR", request.path, {"deployment": slot})

            def send() -> None:
                call["status"] = _forward(request, rest, slot, server, 60).status

            threading.Thread(target=send, daemon=True).start()


def unpack(cloud: Cloud, workspace: str, home: Path, properties: Resource) -> tuple[Path, dict[str, str]]:
    """Lay out code and model as in Azure ML's container; returns the code's folder and the environment."""
    code = properties.get("codeConfiguration")
    if not code:
        raise errors.crashed("The double serves no model without a scoring script.")
    app = home / "app"
    shutil.copytree(cloud.locate(workspace, code["codeId"]), app)
    environment = {
        "AML_APP_ROOT": str(app),
        "AZUREML_ENTRY_SCRIPT": code["scoringScript"],
        **(properties.get("environmentVariables") or {}),
    }
    model = properties.get("model")
    if model:
        *_, name, _, version = model.split("/")
        served = home / "azureml-models" / name / version
        source = cloud.locate(workspace, model)
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        served.mkdir(parents=True)
        copy(source, served / source.name)
        environment["AZUREML_MODEL_DIR"] = str(served)
    return app, environment


def _endpoint(path: str) -> str:
    """The path of the endpoint that a path is of or below."""
    return "/".join(path.split("/")[:11])


def _forward(request: Request, rest: str, slot: str, server: Server, seconds: float) -> Answer:
    """Ask a deployment's server; what is not 200 there is 424 here, with the status in a header, as on Azure."""
    kind = {"Content-Type": request.headers.get("Content-Type", "application/json")}
    body = request.body if request.method == "POST" else None
    inner = urllib.request.Request(f"http://127.0.0.1:{server.port}/{rest}", body, kind, method=request.method)
    headers = {"azureml-model-deployment": slot}
    try:
        with urllib.request.urlopen(inner, timeout=seconds) as answer:
            content = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
            return Answer(200, answer.read(), {**headers, **content})
    except urllib.error.HTTPError as error:
        model = {"ms-azureml-model-error-statuscode": str(error.code), "ms-azureml-model-error-reason": "model_error"}
        content = {"Content-Type": error.headers.get("Content-Type", "application/json")}
        return Answer(424, error.read(), {**headers, **model, **content})
    except TimeoutError:
        message = {"error": {"code": "RequestTimeout", "message": "The model did not answer in time."}}
        return Answer(408, json.dumps(message).encode(), {**headers, "Content-Type": "application/json"})
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        status = 408 if isinstance(reason, TimeoutError) else 502
        message = {"error": {"code": "BadGateway", "message": f"The model server does not answer: {reason}"}}
        return Answer(status, json.dumps(message).encode(), {**headers, "Content-Type": "application/json"})


def _seconds(duration: str | None) -> float:
    """An ISO 8601 duration such as PT1M30.5S in seconds; Azure's default of 5 s for none."""
    found = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", duration or "PT5S")
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0, 0, 5)
    return hours * 3600 + minutes * 60 + seconds
