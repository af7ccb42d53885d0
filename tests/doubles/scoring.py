"""Scoring: requests to online endpoints, distributed over their deployments."""

import http.client
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping

from doubles.cloud import Cloud
from doubles.roles import Need
from doubles.servers import Server, Servers
from doubles.store import ML, Resource
from doubles.web import ML_AUDIENCE, Answer, AzureError, Names, Request, Route, no_needs


class Scoring:
    """Forwards requests by the endpoint's weights, or to the deployment that they name."""

    def __init__(self, cloud: Cloud, servers: Servers) -> None:
        self._cloud = cloud
        self._servers = servers
        self._credits: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        return [Route("GET POST", "/inference/{endpoint}/{rest...}", self._score, self._audiences, no_needs)]

    def _endpoint(self, names: Names) -> tuple[str, Resource]:
        """Return the path and properties of a request's endpoint."""
        endpoint = self._cloud.store.find(f"{ML}/workspaces/onlineEndpoints", names["endpoint"])
        if endpoint is None:
            raise AzureError(404, "NotFound", "The endpoint does not exist.")
        return endpoint["id"], endpoint["properties"]

    def _audiences(self, names: Names) -> tuple[str, ...]:
        path, properties = self._endpoint(names)
        return (ML_AUDIENCE if properties["authMode"].lower() == "aadtoken" else path,)

    def _score(self, request: Request, names: Names) -> Answer:
        path, properties = self._endpoint(names)
        self._check_role(request, path, properties)
        slot = request.headers.get("azureml-model-deployment") or self._choose(path, properties["traffic"])
        server = self._servers.get(f"{path}/deployments/{slot}")
        deployment = self._cloud.store.get(f"{path}/deployments/{slot}")
        if slot is None or server is None or deployment is None:
            raise AzureError(404, "NotFound", "The endpoint doesn't have any valid deployment with positive weight.")
        self._mirror(path, properties["mirrorTraffic"], request, names["rest"])
        settings: Resource = deployment["properties"].get("requestSettings") or {}
        return _forward(request, names["rest"], slot, server, _seconds(settings.get("requestTimeout")))

    def _check_role(self, request: Request, path: str, properties: Resource) -> None:
        """Refuse a caller without the right to score with 401, not 403 (how-to-troubleshoot-online-endpoints.md).

        The endpoint's own token, for authMode AMLToken, is that right.
        """
        need = Need(f"{ML}/workspaces/onlineEndpoints/score/action", path)
        if properties["authMode"].lower() == "aadtoken" and self._cloud.access.missing(request.caller, [need]):
            raise AzureError(
                401, "Unauthorized", "You don't have permission to do the requested action, such as score."
            )

    def _choose(self, path: str, weights: Mapping[str, int]) -> str | None:
        """Return the deployment for the next request, by smooth weighted round-robin."""
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
        """Copy a fraction of the requests to a deployment whose answers are discarded."""
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
    """Forward a request to a deployment's server; like Azure, answer its errors with 424 and its status in a header."""
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
    """Convert an ISO 8601 duration such as PT1M30.5S to seconds; None is Azure's default of 5 s."""
    found = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", duration or "PT5S")
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0, 0, 5)
    return hours * 3600 + minutes * 60 + seconds
