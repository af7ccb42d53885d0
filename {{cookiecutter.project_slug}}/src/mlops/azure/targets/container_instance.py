"""The target on Azure Container Instances: two container groups in the private network.

Container groups have neither TLS nor authentication, so they get no public address. Clients send
rows to the live group, which a tag marks. Azure ML does not know container groups, so the Azure
CLI manages them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from mlops.azure.workspace import make_error
from mlops.config import ContainerInstanceEndpoint, Environment, Project
from mlops.errors import ConfigError, ReleaseError
from mlops.model.tags import MODEL_DIGEST, PENDING_RELEASE, TURN, VERSION
from mlops.release.client import INSIDE, is_private, is_up, last_error, send_rows, wait_until
from mlops.release.pending import read_note, write_note
from mlops.release.target import SLOTS, Answer, EndpointState, PendingRelease, Slot
from mlops.serving.limits import server_settings

PORT: Final = 5001
START_SECONDS: Final = 300
MAX_RESTARTS: Final = 2
NOT_FOUND: Final = re.compile(r"ResourceNotFound|ResourceGroupNotFound|was not found")

Group = dict[str, Any]


class ContainerInstanceTarget:
    """An environment's container groups; the note of a pending release is a tag of the live one.

    The group with the highest number in the tag `TURN` is live, so a switch is a single write.
    """

    mirror: int = 0
    keeps_previous: ClassVar[bool] = False

    def __init__(self, project: Project, environment: Environment, subscription: str) -> None:
        self._project = project
        self._environment = environment
        settings = project.endpoint(environment)
        assert isinstance(settings, ContainerInstanceEndpoint)
        self._settings = settings
        self._identity = (
            f"/subscriptions/{subscription}/resourceGroups/{self._name('resource_group')}/providers/"
            f"Microsoft.ManagedIdentity/userAssignedIdentities/{self._name('identity')}"
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
            slot: Slot(int(_tag(group, VERSION) or 0), _tag(group, MODEL_DIGEST), _runs(group))
            for slot, group in groups.items()
        }
        notes = [_tag(group, PENDING_RELEASE) for group in groups.values()]
        note = next(filter(None, notes), None)
        changing = any(group["provisioningState"] == "Creating" for group in groups.values())
        traffic = {live: 100} if live else {}
        pending = read_note(note, self._project.root, self._environment, changing)
        return EndpointState(slots, traffic, pending)

    def record_pending(self, release: PendingRelease | None) -> None:
        """Tag the live group; without one, there is nothing to restore."""
        groups = self._groups()
        for slot, group in groups.items():
            if release and slot == _live(groups):
                self._set_tag(group, PENDING_RELEASE, write_note(release))
            elif release is None and _tag(group, PENDING_RELEASE):
                self._set_tag(group, PENDING_RELEASE, "")

    def deploy(self, slot: str, version: int, digest: str, model: Path) -> None:
        self.remove(slot)
        image = self._build(version, digest, model)
        settings = self._settings
        variables = server_settings(self._project, digest)
        az(
            f"start version {version} as {self._group_name(slot)}",
            *self._command("create", slot),
            *("--image", image, "--os-type", "Linux", "--restart-policy", "Always"),
            *("--cpu", f"{settings.cpu:g}", "--memory", f"{settings.memory_gb:g}"),
            *("--ip-address", "Private", "--ports", str(PORT)),
            *("--vnet", self._name("network"), "--subnet", self._name("container_subnet")),
            *("--assign-identity", self._identity, "--acr-identity", self._identity),
            *("--environment-variables", *_words(variables)),
            *("--tags", *_words({VERSION: str(version), MODEL_DIGEST: digest})),
        )
        self._wait_until_ready(slot, version)

    def set_traffic(
        self, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None
    ) -> None:
        groups = self._groups()
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
        groups = self._known or self._groups()  # az takes longer than scoring
        chosen = slot or _live(groups)
        if chosen not in groups:
            raise ReleaseError("No version is deployed.")
        return send_rows(_url(groups[chosen], "score"), body, self._settings.timeout_s + 5)

    def remove(self, slot: str) -> None:
        if slot in self._groups():
            name = self._group_name(slot)
            az(f"remove the container group {name}", *self._command("delete", slot), "--yes")
            self._known = {}

    def _name(self, resource: str) -> str:
        return self._project.azure.name(resource, self._environment)

    def _group_name(self, slot: str) -> str:
        return self._project.azure.name("container_group", self._environment, slot)

    def _groups(self) -> dict[str, Group]:
        self._known = {}
        for slot in SLOTS:
            what = f"read the container group {self._group_name(slot)}"
            if shown := az(what, *self._command("show", slot), optional=True):
                self._known[slot] = json.loads(shown)
        return self._known

    def _command(self, verb: str, slot: str) -> tuple[str, ...]:
        name, resource_group = self._group_name(slot), self._name("resource_group")
        return ("container", verb, "--resource-group", resource_group, "--name", name)

    def _set_tag(self, group: Group, key: str, value: str) -> None:
        merge = ("tag", "update", "--operation", "Merge", "--resource-id", group["id"])
        az(f"tag the container group {group['name']}", *merge, "--tags", f"{key}={value}")
        self._known = {}

    def _build(self, version: int, digest: str, model: Path) -> str:
        """Build an image with the model in the container registry; return its name."""
        name, registry = self._project.project, self._name("registry")
        image = f"{name}:{version}-{digest[:12]}"
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            copy_build_context(self._project, model, context)
            az(
                f"build the image {image}",
                *("acr", "build", "--registry", registry, "--image", image),
                *("--build-arg", f"NAME={name}", "--build-arg", f"VERSION={version}"),
                *("--file", "Dockerfile", "."),
                folder=context,
            )
        return f"{registry}.azurecr.io/{image}"

    def _wait_until_ready(self, slot: str, version: int) -> None:
        def look() -> str:
            group = self._groups().get(slot)
            if group and is_up(_url(group)):
                return "up"
            return "crashed" if group and _has_crashed(group) else "starting"

        seconds = max(START_SECONDS, self._settings.start_timeout_s)
        if wait_until(lambda state: state != "starting", look, seconds) != "up":
            log = az("read the container's log", *self._command("logs", slot))
            error = make_error(
                f"start version {version} in {self._group_name(slot)}",
                "ResourceNotReady",
                f"it does not answer. The container's log says: {last_error(log)}",
            )
            group = self._known.get(slot)
            host = group["ipAddress"]["ip"] if group else ""
            if group and _runs(group) and not _has_crashed(group) and is_private(host):
                error.fix = f"{host} {INSIDE}"
            raise error


def copy_build_context(project: Project, model: Path, context: Path) -> None:
    """Copy the files that azureml/container/Dockerfile needs into a folder."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(project.root / "src", context / "src", ignore=ignore)
    shutil.copytree(model, context / "model")
    for name in ("requirements.txt", "azureml/container/Dockerfile"):
        shutil.copy2(project.root / name, context)


def _words(values: Mapping[str, str]) -> list[str]:
    """Return values as az takes them."""
    return [f"{key}={value}" for key, value in values.items()]


def _tag(group: Group, key: str) -> str:
    return str((group.get("tags") or {}).get(key) or "")


def _turn(group: Group) -> int:
    return int(_tag(group, TURN) or 0)


def _live(groups: Mapping[str, Group]) -> str | None:
    """Return the slot with the highest turn, or None."""
    slot = max(groups, key=lambda slot: _turn(groups[slot]), default=None)
    return slot if slot and _turn(groups[slot]) else None


def _url(group: Group, path: str = "") -> str:
    address = group["ipAddress"]
    return f"http://{address['ip']}:{address['ports'][0]['port']}/{path}"


def _state(group: Group) -> str:
    return str((group.get("instanceView") or {}).get("state"))


def _runs(group: Group) -> bool:
    return _state(group) == "Running" and group["provisioningState"] == "Succeeded"


def _has_crashed(group: Group) -> bool:
    views = [container.get("instanceView") or {} for container in group["containers"]]
    restarting = any(view.get("restartCount", 0) > MAX_RESTARTS for view in views)
    return restarting or _state(group) in ("Failed", "Stopped", "Succeeded")


def az(what: str, *arguments: str, folder: Path | None = None, optional: bool = False) -> str:
    """Return the output of the Azure CLI, or "" if an ``optional`` resource does not exist.

    ``what`` completes "Could not ...".

    Raises
    ------
    ConfigError
        The Azure CLI is not installed.
    AzureError
        It failed.
    """
    program = shutil.which("az")
    if program is None:
        raise ConfigError(
            "The Azure CLI, az, is not installed.",
            "Install it (learn.microsoft.com/cli/azure/install-azure-cli) and log in: az login",
        )
    done = subprocess.run(  # noqa: S603 -- the arguments are ours
        [program, *arguments, "--only-show-errors"],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    if optional and NOT_FOUND.search(done.stderr):
        return ""
    raise make_error(what, *_reason(done.stderr))


def _reason(text: str) -> tuple[str, str]:
    """Return Azure's code and message from the errors of ``az``: `ERROR: (Code) Message`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    error = next((x for x in lines if x.startswith("ERROR:")), (lines or ["no reason given"])[-1])
    message = error.removeprefix("ERROR:").strip()
    code = re.match(r"\((\w+)\)", message)
    statuses = {"TooManyRequests": "429 ", "Conflict": "409 ", "ExpiredAuthenticationToken": "401 "}
    kind = code[1] if code else "az"
    if "az login" in text:
        kind = "401 ClientAuthentication"
    return statuses.get(kind, "") + kind, message[:500]
