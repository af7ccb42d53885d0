"""The target on Azure Container Instances: two container groups in the private network.

Container groups have neither TLS nor authentication, so they get no public address. Clients send
rows to the live group, which a tag marks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from mlops.azure.images import Images
from mlops.azure.resource_manager import Resource, ResourceManager
from mlops.azure.workspace import azure_errors, find, make_error, other_operation
from mlops.config import ContainerInstanceEndpoint, Environment, Project
from mlops.errors import ReleaseError
from mlops.model.tags import MODEL_DIGEST, PENDING_RELEASE, TURN, VERSION
from mlops.release.client import INSIDE, is_private, is_up, last_error, send_rows
from mlops.release.pending import read_note, write_note
from mlops.release.target import SLOTS, Answer, EndpointState, PendingRelease, Slot
from mlops.serving.limits import server_settings
from mlops.waiting import wait_until

PORT: Final = 5001
START_SECONDS: Final = 300
SIGN_SECONDS: Final = 60
MAX_RESTARTS: Final = 2
KIND: Final = "containerGroups"


class ContainerInstanceTarget:
    """An environment's container groups; the note of a pending release is a tag of the live one.

    The group with the highest number in the tag `TURN` is live, so a switch is a single write.

    Parameters
    ----------
    group : str
        The id of the environment's resource group.
    """

    mirror: int = 0
    keeps_previous: ClassVar[bool] = False

    def __init__(
        self,
        project: Project,
        environment: Environment,
        group: str,
        manager: ResourceManager,
        images: Images,
    ) -> None:
        self._project = project
        self._environment = environment
        settings = project.endpoint(environment)
        assert isinstance(settings, ContainerInstanceEndpoint)
        self._settings = settings
        self._group = group
        self._manager = manager
        self._images = images
        self._known: dict[str, Resource] = {}
        self._image = ""

    @property
    def address(self) -> str:
        groups = self._groups()
        live = _live(groups)
        return _url(groups[live], "score") if live else ""

    def describe(self) -> EndpointState:
        groups = self._groups()
        live = _live(groups)
        slots = {
            slot: Slot(int(_tag(group, VERSION) or 0), _tag(group, MODEL_DIGEST), _runs(group))
            for slot, group in groups.items()
        }
        changing = any(_provisioning(group) == "Creating" for group in groups.values())
        traffic = {live: 100} if live else {}
        return EndpointState(slots, traffic, self._read_note(groups, changing))

    def prepare(self, version: int, digest: str, model: Path) -> None:
        self._image = self._images.build_server(version, digest, model)

    def record_pending(self, release: PendingRelease | None) -> None:
        """Tag the live group; without one, there is nothing to restore."""
        groups = self._groups()
        self._read_note(groups)
        for slot, group in groups.items():
            if release and slot == _live(groups):
                with other_operation(self._group_name(slot)):
                    self._set_tag(group, PENDING_RELEASE, write_note(release))
            elif release is None and _tag(group, PENDING_RELEASE):
                self._set_tag(group, PENDING_RELEASE, "")

    def deploy(self, slot: str, version: int, digest: str, model: Path) -> None:
        self.remove(slot)
        with azure_errors(f"start version {version} as {self._group_name(slot)}"):
            wanted = self._wanted(slot, version, digest)
            self._manager.send("PUT", self._path(slot), KIND, wanted)
        self._wait_until_ready(slot, version)

    def set_traffic(
        self, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None
    ) -> None:
        groups = self._groups()
        self._read_note(groups)
        chosen = next((slot for slot, percent in traffic.items() if percent), None)
        if chosen == _live(groups):
            return
        if chosen is None:
            for group in groups.values():
                self._set_tag(group, TURN, "")
        else:
            highest = max(_turn(group) for group in groups.values())
            self._set_tag(groups[chosen], TURN, str(highest + 1))

    def invoke(self, body: bytes, slot: str | None = None) -> Answer:
        groups = self._known or self._groups()  # not read again for each request
        chosen = slot or _live(groups)
        if chosen not in groups:
            raise ReleaseError("No version is deployed.")
        return send_rows(_url(groups[chosen], "score"), body, self._settings.timeout_s + 5)

    def remove(self, slot: str) -> None:
        if slot in self._groups():
            with azure_errors(f"remove the container group {self._group_name(slot)}"):
                self._manager.send("DELETE", self._path(slot), KIND)
            self._known = {}

    def _name(self, resource: str) -> str:
        return self._project.azure.name(resource, self._environment)

    def _group_name(self, slot: str) -> str:
        return self._project.azure.name("container_group", self._environment, slot)

    def _path(self, slot: str) -> str:
        provider = "providers/Microsoft.ContainerInstance/containerGroups"
        return f"{self._group}/{provider}/{self._group_name(slot)}"

    def _groups(self) -> dict[str, Resource]:
        self._known = {}
        for slot in SLOTS:
            if found := self._find(slot):
                self._known[slot] = found
        return self._known

    def _read_note(
        self, groups: Mapping[str, Resource], changing: bool = False
    ) -> PendingRelease | None:
        notes = [_tag(group, PENDING_RELEASE) for group in groups.values()]
        note = next(filter(None, notes), None)
        return read_note(note, self._project.root, self._environment, changing)

    def _find(self, slot: str) -> Resource | None:
        with azure_errors(f"read the container group {self._group_name(slot)}"):
            return find(lambda: self._manager.send("GET", self._path(slot), KIND))

    def _set_tag(self, group: Resource, key: str, value: str) -> None:
        wanted = {"tags": {**(group.get("tags") or {}), key: value}}
        with azure_errors(f"tag the container group {group['name']}"):
            self._manager.send("PATCH", group["id"], KIND, wanted)
        self._known = {}

    def _wanted(self, slot: str, version: int, digest: str) -> Resource:
        """Return the container group of a version."""
        name, settings, providers = self._name, self._settings, f"{self._group}/providers"
        identity = (
            f"{providers}/Microsoft.ManagedIdentity/userAssignedIdentities/{name('identity')}"
        )
        network = f"{providers}/Microsoft.Network/virtualNetworks/{name('network')}"
        port = {"port": PORT, "protocol": "TCP"}
        model = f"/home/server/models/{self._project.project}/{version}"
        variables = {**server_settings(self._project, digest), "AZUREML_MODEL_DIR": model}
        container = {
            "image": self._image,
            "ports": [port],
            "resources": {
                "requests": {"cpu": settings.cpu, "memoryInGB": settings.memory_gb},
            },
            "environmentVariables": [
                {"name": key, "value": value} for key, value in variables.items()
            ],
        }
        return {
            "location": self._project.azure.region,
            "tags": {VERSION: str(version), MODEL_DIGEST: digest},
            "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}},
            "properties": {
                "osType": "Linux",
                "restartPolicy": "Always",
                "containers": [{"name": self._group_name(slot), "properties": container}],
                "imageRegistryCredentials": [
                    {"server": self._image.partition("/")[0], "identity": identity}
                ],
                "ipAddress": {"type": "Private", "ports": [port]},
                "subnetIds": [{"id": f"{network}/subnets/{name('container_subnet')}"}],
            },
        }

    def _read_log(self, slot: str) -> str:
        path = f"{self._path(slot)}/containers/{self._group_name(slot)}/logs"
        with azure_errors("read the container's log"):
            return str(self._manager.send("GET", path, KIND).get("content") or "")

    def _wait_until_ready(self, slot: str, version: int) -> None:
        def look() -> str:
            group = self._groups().get(slot)
            if group and is_up(_url(group)):
                return "up"
            return "crashed" if group and _has_crashed(group) else "starting"

        end = time.monotonic() + max(START_SECONDS, self._settings.start_timeout_s)
        state = "starting"
        while state == "starting" and time.monotonic() < end:
            self.record_pending(self._read_note(self._groups()))  # again: it goes on
            state = wait_until(lambda state: state != "starting", look, SIGN_SECONDS)
        if state != "up":
            error = make_error(
                f"start version {version} in {self._group_name(slot)}",
                "ResourceNotReady",
                f"it does not answer. The container's log says: {last_error(self._read_log(slot))}",
            )
            group = self._known.get(slot)
            host = group["properties"]["ipAddress"]["ip"] if group else ""
            if group and _runs(group) and not _has_crashed(group) and is_private(host):
                error.fix = f"{host} {INSIDE}"
            raise error


def _tag(group: Resource, key: str) -> str:
    return str((group.get("tags") or {}).get(key) or "")


def _turn(group: Resource) -> int:
    return int(_tag(group, TURN) or 0)


def _live(groups: Mapping[str, Resource]) -> str | None:
    """Return the slot with the highest turn, or None."""
    slot = max(groups, key=lambda slot: _turn(groups[slot]), default=None)
    return slot if slot and _turn(groups[slot]) else None


def _url(group: Resource, path: str = "") -> str:
    address = group["properties"]["ipAddress"]
    return f"http://{address['ip']}:{address['ports'][0]['port']}/{path}"


def _provisioning(group: Resource) -> str:
    return str(group["properties"]["provisioningState"])


def _state(group: Resource) -> str:
    return str((group["properties"].get("instanceView") or {}).get("state"))


def _runs(group: Resource) -> bool:
    return _state(group) == "Running" and _provisioning(group) == "Succeeded"


def _has_crashed(group: Resource) -> bool:
    containers = group["properties"]["containers"]
    views = [one["properties"].get("instanceView") or {} for one in containers]
    restarting = any(view.get("restartCount", 0) > MAX_RESTARTS for view in views)
    return restarting or _state(group) in ("Failed", "Stopped", "Succeeded")
