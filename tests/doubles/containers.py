"""Container groups. A container is its image's command as a process.

Sources: the SDK's models of API version 2023-05-01; for what a change needs on the resources that it names,
MicrosoftDocs/azure-docs, role-based-access-control/troubleshooting.md.
"""

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from doubles.cloud import GROUP, Cloud
from doubles.images import HOST
from doubles.processes import Child, free_port
from doubles.registries import PULL
from doubles.roles import Need, needed
from doubles.servers import AZMLINFSRV
from doubles.store import Resource
from doubles.web import Answer, AzureError, Names, Request, Route

RESTART_S = 0.5
MOST_RESTARTS = 5
CONTAINERS = GROUP + "/providers/Microsoft.ContainerInstance/containerGroups"


class Containers:
    """Answers the requests to container groups."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._children: dict[str, Child] = {}
        self._deleted: set[str] = set()

    def routes(self) -> list[Route]:
        group = CONTAINERS + "/{name}"
        return [
            Route("GET", CONTAINERS, self._list),
            Route("GET", group, self._get),
            Route("PUT", group, self._put, needs=_creation_needs),
            Route("PATCH", group, self._tag),
            Route("DELETE", group, self._delete),
            Route("GET", group + "/containers/{container}/logs", self._logs),
        ]

    def _list(self, request: Request, _: Names) -> Answer:
        return Answer(200, {"value": self._cloud.store.children(request.path)})

    def _get(self, request: Request, _: Names) -> Answer:
        return Answer(200, self._cloud.store.existing(request.path))

    def _put(self, request: Request, names: Names) -> Answer:
        """Create a container group; its operation ends when the container runs, not when it answers."""
        group = GROUP.format(**names)
        if self._cloud.store.get(group) is None:
            name = names["group"]
            raise AzureError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        path, resource = request.path, request.json()
        properties = resource["properties"]
        (container,) = properties["containers"]
        image = container["properties"]["image"]
        self._check_image(names["name"], image, properties.get("imageRegistryCredentials") or [])
        if path in self._children:
            self._stop(path)
        port, given = free_port(), properties["ipAddress"]["ports"][0]["port"]
        # Azure assigns 10.x.x.x and keeps the port; here, all containers share one address.
        properties["ipAddress"] |= {"ip": "127.0.0.1", "ports": [{"port": port, "protocol": "TCP"}]}
        properties["instanceView"] = {"state": "Pending", "events": []}
        settings = {one["name"]: one["value"] for one in container["properties"].get("environmentVariables") or []}
        ports = {str(given): str(port)}
        self._deleted.discard(path)

        def start() -> None:
            self._note(path, _running(0), "Running")
            self._start(path, image, ports, settings)
            threading.Thread(target=self._watch, args=(path, image, ports, settings), daemon=True).start()

        return self._cloud.operations.put(request, resource, start)

    def _check_image(self, name: str, image: str, credentials: list[Resource]) -> None:
        """Refuse an image that does not exist, or that the group's identity may not pull."""
        server = image.partition("/")[0]
        registry = self._cloud.store.find("Microsoft.ContainerRegistry/registries", server.removesuffix(HOST))
        lent = [one["identity"] for one in credentials if one["server"] == server]
        identity = self._cloud.access.find(lent[0]) if lent else None
        lacking = registry and self._cloud.access.missing(
            identity.object if identity else "", [Need(PULL, registry["id"])]
        )
        if self._cloud.images.find(image) is None or lacking:
            text = f"The image '{image}' in container group '{name}' is not accessible. Please check the image and "
            raise AzureError(400, "InaccessibleImage", text + "registry credential.")

    def _start(self, path: str, image: str, ports: Mapping[str, str], settings: Mapping[str, str]) -> None:
        home = self._cloud.images.find(image)
        assert home is not None
        built = json.loads((home / "image.json").read_text("utf-8"))
        here = {name: _mapped(value, home / "files") for name, value in {**built["environment"], **settings}.items()}
        words = [ports.get(word, _mapped(word, home / "files")) for word in built["command"]]
        cwd = Path(_mapped(built["workdir"], home / "files"))
        log = self._cloud.operations.logs(path)
        processes = self._cloud.processes
        if words[0] == "azmlinfsrv":  # but on the loopback address only
            self._children[path] = processes.start_python(AZMLINFSRV, words[1:], cwd, log, here)
        else:
            self._children[path] = processes.start(words, cwd, log, here)

    def _watch(self, path: str, image: str, ports: Mapping[str, str], settings: Mapping[str, str]) -> None:
        """Restart a container that has ended, as often as Azure does in a few minutes."""
        for restarts in range(1, MOST_RESTARTS + 1):
            code = self._children[path].wait()
            if path in self._deleted:
                return
            self._note(path, {**_running(restarts), "currentState": {"state": "Terminated", "exitCode": code}})
            time.sleep(RESTART_S)
            if path in self._deleted:
                return
            self._start(path, image, ports, settings)
        state = {"state": "Waiting", "detailStatus": "CrashLoopBackOff"}
        self._children[path].wait()
        self._note(path, {**_running(MOST_RESTARTS), "currentState": state})

    def _note(self, path: str, view: Resource, state: str = "") -> None:
        resource = self._cloud.store.get(path)
        if resource:
            properties = resource["properties"]
            properties["containers"][0]["properties"]["instanceView"] = view
            properties["instanceView"]["state"] = state or properties["instanceView"]["state"]
            self._cloud.store.put(path, resource)

    def _logs(self, request: Request, _: Names) -> Answer:
        path = request.path.partition("/containers/")[0]
        self._cloud.store.existing(path)
        log = self._cloud.operations.logs(path)
        return Answer(200, {"content": log.read_text("utf-8", errors="replace") if log.exists() else None})

    def _delete(self, request: Request, _: Names) -> Answer:
        return self._cloud.operations.delete(request, lambda: self._stop(request.path))

    def _stop(self, path: str) -> None:
        self._deleted.add(path)
        if child := self._children.pop(path, None):
            child.stop()

    def _tag(self, request: Request, _: Names) -> Answer:
        """Replace the tags, the only thing that can change."""
        resource = self._cloud.store.existing(request.path)
        resource["tags"] = request.json().get("tags") or {}
        return Answer(200, self._cloud.store.put(request.path, resource))


def _creation_needs(request: Request, _: Names) -> list[Need]:
    """Return what creating a group needs: also on the subnets and the identities that it names."""
    content = request.json()
    subnets = [one["id"] for one in content.get("properties", {}).get("subnetIds") or []]
    identities = (content.get("identity") or {}).get("userAssignedIdentities") or {}
    join = "Microsoft.Network/virtualNetworks/subnets/join/action"
    assign = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
    return [
        needed("PUT", request.path),
        *(Need(join, one, linked=True) for one in subnets),
        *(Need(assign, one, linked=True) for one in identities),
    ]


def _mapped(text: str, files: Path) -> str:
    """Map a path inside an image to a path on this machine; leave other text unchanged."""
    inside = files / text.lstrip("/")
    return str(inside) if text.startswith("/") and inside.exists() else text


def _running(restarts: int) -> Resource:
    return {"restartCount": restarts, "currentState": {"state": "Running"}}
