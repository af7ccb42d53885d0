"""Scoring: requests to online endpoints, shared out between their deployments."""

import http.client
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping

from doubles.cloud import Cloud
from doubles.identity import ML_AUDIENCE
from doubles.servers import Server, Servers
from doubles.store import ML, Resource
from doubles.web import Answer, AzureError, Request, Route


class Scoring:
    """Passes requests on: by the endpoint's weights, or to the deployment that they name."""

    def __init__(self, cloud: Cloud, servers: Servers) -> None:
        self._cloud = cloud
        self._servers = servers
        self._credits: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        return [Route("GET POST", "/inference/{endpoint}/{rest...}", self._score)]

    def _score(self, request: Request, names: Mapping[str, str]) -> Answer:
        endpoint = self._cloud.store.find(f"{ML}/workspaces/onlineEndpoints", names["endpoint"])
        if endpoint is None:
            raise AzureError(404, "NotFound", "The endpoint does not exist.")
        path, properties = endpoint["id"], endpoint["properties"]
        audience = ML_AUDIENCE if properties["authMode"].lower() == "aadtoken" else path
        self._cloud.identity.check(request.headers.get("Authorization"), [audience])
        slot = request.headers.get("azureml-model-deployment") or self._choose(path, properties["traffic"])
        server = self._servers.get(f"{path}/deployments/{slot}")
        deployment = self._cloud.store.get(f"{path}/deployments/{slot}")
        if slot is None or server is None or deployment is None:
            raise AzureError(404, "NotFound", "The endpoint doesn't have any valid deployment with positive weight.")
        self._mirror(path, properties["mirrorTraffic"], request, names["rest"])
        settings: Resource = deployment["properties"].get("requestSettings") or {}
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
        server = self._servers.get(f"{path}/deployments/{slot}")
        if slot and server:
            call = self._cloud.site.record("MIRROR", request.path, {"deployment": slot})

            def send() -> None:
                call["status"] = _forward(request, rest, slot, server, 60).status

            threading.Thread(target=send, daemon=True).start()


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
