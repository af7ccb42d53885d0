"""The target on Azure Container Instances: two container groups without a public address.

A container group has neither TLS nor logins of its own, so it gets an address in the private
network only. Clients ask the group that is live; the switch is the tag that says which one that
is. All goes through the Azure CLI: Azure ML does not know these groups.
"""

from __future__ import annotations

import http.client
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from mlops.azure.az import az, az_find
from mlops.azure.names import names
from mlops.azure.specs import DIGEST_TAG, VERSION_TAG
from mlops.azure.workspace import explained
from mlops.config import Endpoint, Project
from mlops.errors import ReleaseError
from mlops.release.client import send_rows
from mlops.release.log import last_error
from mlops.release.pending import read_note, write_note
from mlops.release.target import SLOTS, Answer, EndpointState, PendingRelease, Slot

PORT: Final = 5001
START_SECONDS: Final = 300
MOST_RESTARTS: Final = 2
# The group with the highest number in this tag is live: so a switch is one write.
TURN: Final = "mlops.turn"
NOTE: Final = "mlops.release"

Group = dict[str, Any]


class ContainerInstanceTarget:
    """The container groups of an environment; the note of a release is a tag of the live one."""

    mirrors: ClassVar[bool] = False
    keeps_previous: ClassVar[bool] = False

    def __init__(self, project: Project, environment: str, subscription: str) -> None:
        self._project = project
        self._names = names(project, environment)
        self._settings: Endpoint = getattr(project.serving, environment)
        self._identity = (
            f"/subscriptions/{subscription}/resourceGroups/{self._names.resource_group}/providers/"
            f"Microsoft.ManagedIdentity/userAssignedIdentities/{self._names.identity}"
        )
        self._known: dict[str, Group] = {}

    @property
    def address(self) -> str:
        groups = self._groups()
        live = _live(groups)
        return _url(groups[live], "score") if live else ""

    def describe(self) -> EndpointState:
        groups = self._groups()
        live = _live(groups)
        slots = {
            slot: Slot(int(_tag(group, VERSION_TAG) or 0), _tag(group, DIGEST_TAG), _runs(group))
            for slot, group in groups.items()
        }
        note = next((note for group in groups.values() if (note := _tag(group, NOTE))), "")
        changing = any(group["provisioningState"] == "Creating" for group in groups.values())
        pending = read_note(note, changing) if note else None
        return EndpointState(slots, {live: 100} if live else {}, pending)

    def record_pending(self, release: PendingRelease | None) -> None:
        """Note it at the live group; where nothing is live yet, there is nothing to go back to."""
        groups = self._groups()
        for slot, group in groups.items():
            if release and slot == _live(groups):
                self._set_tag(group, NOTE, write_note(release))
            elif release is None and _tag(group, NOTE):
                self._set_tag(group, NOTE, "")

    def deploy(self, slot: str, version: int, digest: str, model: Path) -> None:
        self.remove(slot)
        image = self._build(version, digest, model)
        wanted, own = self._settings, self._names
        az(
            f"start version {version} as {own.container_group(slot)}",
            *self._named(slot, "create"),
            *("--image", image, "--os-type", "Linux", "--restart-policy", "Always"),
            *("--cpu", f"{wanted.cpu:g}", "--memory", f"{wanted.memory_gb:g}"),
            *("--ip-address", "Private", "--ports", str(PORT)),
            *("--vnet", own.network, "--subnet", own.container_subnet),
            *("--assign-identity", self._identity, "--acr-identity", self._identity),
            *("--tags", f"{VERSION_TAG}={version}", f"{DIGEST_TAG}={digest}"),
        )
        self._wait_until_ready(slot, version)

    def set_traffic(
        self, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None
    ) -> None:
        groups = self._groups()
        chosen = next((slot for slot, share in traffic.items() if share), None)
        if chosen == _live(groups):
            return
        if chosen is None:
            for group in groups.values():
                self._set_tag(group, TURN, "")
        else:
            highest = max(_turn(group) for group in groups.values())
            self._set_tag(groups[chosen], TURN, str(highest + 1))

    def invoke(self, body: bytes, slot: str | None = None) -> Answer:
        groups = self._known or self._groups()  # azure_errors takes longer than scoring
        chosen = slot or _live(groups)
        if chosen not in groups:
            raise ReleaseError("No version is deployed.")
        return send_rows(_url(groups[chosen], "score"), body, self._settings.timeout_s + 5)

    def remove(self, slot: str) -> None:
        if slot in self._groups():
            name = self._names.container_group(slot)
            az(f"remove the container group {name}", *self._named(slot, "delete"), "--yes")
            self._known = {}

    def _groups(self) -> dict[str, Group]:
        found = {
            slot: az_find(
                f"read the container group {self._names.container_group(slot)}",
                *self._named(slot, "show"),
            )
            for slot in SLOTS
        }
        self._known = {slot: group for slot, group in found.items() if group}
        return self._known

    def _named(self, slot: str, verb: str) -> tuple[str, ...]:
        name, holder = self._names.container_group(slot), self._names.resource_group
        return ("container", verb, "--resource-group", holder, "--name", name)

    def _set_tag(self, group: Group, key: str, value: str) -> None:
        merge = ("tag", "update", "--operation", "Merge", "--resource-id", group["id"])
        az(f"tag the container group {group['name']}", *merge, "--tags", f"{key}={value}")
        self._known = {}

    def _build(self, version: int, digest: str, model: Path) -> str:
        """Build the image with the model inside, in the registry itself; returns its name."""
        name, registry = self._project.project, self._names.registry
        image = f"{name}:{version}-{digest[:12]}"
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            lay_out(self._project, model, context)
            az(
                f"build the image {image}",
                *("acr", "build", "--registry", registry, "--image", image),
                *("--build-arg", f"NAME={name}", "--build-arg", f"VERSION={version}"),
                *("--file", "Dockerfile", "."),
                folder=context,
            )
        return f"{registry}.azurecr.io/{image}"

    def _wait_until_ready(self, slot: str, version: int) -> None:
        until = time.monotonic() + max(START_SECONDS, self._settings.start_timeout_s)
        while time.monotonic() < until:
            group = self._groups().get(slot)
            if group and _answers(_url(group, "")):
                return
            if group and _has_crashed(group):
                break
            time.sleep(1)
        log = az("read the container's log", *self._named(slot, "logs"))
        raise explained(
            f"start version {version} in {self._names.container_group(slot)}",
            "ResourceNotReady",
            f"it does not answer. The container's log says: {last_error(log)}",
        )


def lay_out(project: Project, model: Path, context: Path) -> None:
    """Copy into a folder what azureml/container/Dockerfile takes into the image."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(project.root / "src", context / "src", ignore=ignore)
    shutil.copytree(model, context / "model")
    for name in ("requirements.txt", "azureml/container/Dockerfile"):
        shutil.copy2(project.root / name, context)


def _tag(group: Group, key: str) -> str:
    return str((group.get("tags") or {}).get(key) or "")


def _turn(group: Group) -> int:
    return int(_tag(group, TURN) or 0)


def _live(groups: Mapping[str, Group]) -> str | None:
    """The slot whose turn it is, or None."""
    slot = max(groups, key=lambda slot: _turn(groups[slot]), default=None)
    return slot if slot and _turn(groups[slot]) else None


def _url(group: Group, path: str) -> str:
    place = group["ipAddress"]
    return f"http://{place['ip']}:{place['ports'][0]['port']}/{path}"


def _state(group: Group) -> str:
    return str((group.get("instanceView") or {}).get("state"))


def _runs(group: Group) -> bool:
    return _state(group) == "Running" and group["provisioningState"] == "Succeeded"


def _has_crashed(group: Group) -> bool:
    views = [container.get("instanceView") or {} for container in group["containers"]]
    again = any(view.get("restartCount", 0) > MOST_RESTARTS for view in views)
    return again or _state(group) in ("Failed", "Stopped", "Succeeded")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False
