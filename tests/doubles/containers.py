"""Container registries and container groups, for `az acr build` and `az container`.

Without Docker: an image consists of the files that its Dockerfile copies, its environment and its command; a container
is that command as a process. RUN is ignored.
"""

import json
import re
import shlex
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from doubles import SUBSCRIPTION
from doubles.az import AzureCli, CliError, Command
from doubles.cloud import GROUP, LOCATION, Cloud
from doubles.processes import Child, free_port
from doubles.roles import Need, needed
from doubles.servers import AZMLINFSRV
from doubles.store import Resource
from doubles.web import AzureError

RESTART_S = 0.5
MOST_RESTARTS = 5


class Containers:
    """Images and container groups."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._children: dict[str, Child] = {}
        self._deleted: set[str] = set()

    def add_to(self, cli: AzureCli) -> None:
        """Add the commands for images and containers to the command line."""
        cli.commands |= {
            "acr build": self._build,
            "container create": self._create,
            "container show": self._show,
            "container list": self._list,
            "container logs": self._logs,
            "container delete": self._delete,
            "tag update": self._tag,
        }

    def _build(self, command: Command) -> str:
        """Build an image from a Dockerfile; return the log."""
        registry = command.option("--registry", "-r")
        image = command.option("--image", "-t")
        kind = "Microsoft.ContainerRegistry/registries"
        found = self._cloud.store.find(kind, registry)
        if found is None:
            text = f"The resource with name '{registry}' and type '{kind}' could not be found in subscription 'Loopback"
            raise CliError(3, f"{text} ({SUBSCRIPTION})'.")
        actions = ("read", "listBuildSourceUploadUrl/action", "scheduleRun/action", "runs/read")
        self._cloud.authorize(command.caller, [Need(f"{kind}/{action}", found["id"]) for action in actions])
        context = command.cwd / (command.rest[0] if command.rest else ".")
        dockerfile = context / command.option("--file", "-f", default="Dockerfile")
        home = self._image(f"{registry}.azurecr.io/{image}")
        shutil.rmtree(home, ignore_errors=True)
        built = build_image(dockerfile.read_text("utf-8"), context, home / "files", command.pairs("--build-arg"))
        (home / "image.json").write_text(json.dumps(built, indent=1), encoding="utf-8")
        return f"Successfully pushed image: {registry}.azurecr.io/{image}\nRun ID: cb1 was successful after 1s\n"

    def _image(self, name: str) -> Path:
        return self._cloud.folder / "images" / re.sub(r"[:@]", "/", name)

    def _path(self, command: Command) -> str:
        group = GROUP.format(subscription=SUBSCRIPTION, group=command.option("--resource-group", "-g"))
        if self._cloud.store.get(group) is None:
            name = group.rsplit("/", 1)[1]
            raise AzureError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        name = command.option("--name", "-n")
        return f"{group}/providers/Microsoft.ContainerInstance/containerGroups/{name}"

    def _create(self, command: Command) -> dict[str, Any]:
        """Create a container group and start its container; return when it runs, not when it answers."""
        path, image = self._path(command), command.option("--image")
        self._cloud.authorize(command.caller, self._creation_needs(command, path))
        name = path.rsplit("/", 1)[1]
        if not (self._image(image) / "image.json").is_file():
            text = f"The image '{image}' in container group '{name}' is not accessible. Please check the image and "
            raise AzureError(400, "InaccessibleImage", text + "registry credential.")
        if path in self._children:
            self._stop(path)
        port = free_port()
        kind = command.option("--ip-address", default="Public" if "--ports" in command.options else "")
        resource = {
            "location": LOCATION,
            "tags": command.pairs("--tags"),
            "provisioningState": "Succeeded",
            "osType": command.option("--os-type", default="Linux"),
            "restartPolicy": command.option("--restart-policy", default="Always"),
            # Azure assigns 10.x.x.x and keeps the port; here, all containers share one address.
            "ipAddress": {"ip": "127.0.0.1", "ports": [{"port": port, "protocol": "TCP"}], "type": kind},
            "instanceView": {"state": "Running", "events": []},
            "containers": [{"name": name, "image": image, "instanceView": _running(0)}],
        }
        self._deleted.discard(path)
        self._cloud.store.put(path, resource)
        ports = {command.option("--ports", default="80"): str(port)}
        settings = {**command.pairs("--environment-variables"), **command.pairs("--secure-environment-variables")}
        self._start(path, image, ports, settings)
        threading.Thread(target=self._watch, args=(path, image, ports, settings), daemon=True).start()
        return self._cloud.store.existing(path)

    def _creation_needs(self, command: Command, path: str) -> list[Need]:
        """Return what creating a group needs: also on the subnet and the identities that it names.

        az reads the network before it names the subnet. Sources: azure-cli's command `container create`; the linked
        checks: MicrosoftDocs/azure-docs, role-based-access-control/troubleshooting.md.
        """
        needs = [needed("PUT", path)]
        if network := command.option("--vnet", default=""):
            network = f"{path.partition('/providers/')[0]}/providers/Microsoft.Network/virtualNetworks/{network}"
            subnet = f"{network}/subnets/{command.option('--subnet')}"
            needs += [needed("GET", network), needed("GET", subnet)]
            needs.append(Need("Microsoft.Network/virtualNetworks/subnets/join/action", subnet, linked=True))
        action = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
        return needs + [Need(action, one, linked=True) for one in command.options.get("--assign-identity", [])]

    def _start(self, path: str, image: str, ports: Mapping[str, str], settings: Mapping[str, str]) -> None:
        home = self._image(image)
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

    def _note(self, path: str, view: Resource) -> None:
        resource = self._cloud.store.get(path)
        if resource:
            resource["containers"][0]["instanceView"] = view
            self._cloud.store.put(path, resource)

    def _show(self, command: Command) -> dict[str, Any]:
        self._cloud.authorize(command.caller, [needed("GET", self._path(command))])
        return self._cloud.store.existing(self._path(command))

    def _list(self, command: Command) -> list[dict[str, Any]]:
        group = GROUP.format(subscription=SUBSCRIPTION, group=command.option("--resource-group", "-g"))
        return self._cloud.store.children(f"{group}/providers/Microsoft.ContainerInstance/containerGroups")

    def _logs(self, command: Command) -> str:
        path = self._path(command)
        self._cloud.authorize(command.caller, [needed("GET", f"{path}/containers/all/logs")])
        self._cloud.store.existing(path)
        log = self._cloud.operations.logs(path)
        return log.read_text("utf-8", errors="replace") if log.exists() else "None\n"

    def _delete(self, command: Command) -> dict[str, Any]:
        path = self._path(command)
        if not {"--yes", "-y"} & command.options.keys():
            raise CliError(1, "Unable to prompt for confirmation as no tty available. Use --yes.")
        self._cloud.authorize(command.caller, [needed("DELETE", path)])
        found = self._cloud.store.existing(path)
        self._stop(path)
        self._cloud.store.remove(path)
        return found

    def _stop(self, path: str) -> None:
        self._deleted.add(path)
        if child := self._children.pop(path, None):
            child.stop()

    def _tag(self, command: Command) -> dict[str, Any]:
        path = command.option("--resource-id")
        self._cloud.authorize(command.caller, [Need("Microsoft.Resources/tags/write", path)])
        resource = self._cloud.store.existing(path)
        given, kept = command.pairs("--tags"), resource.get("tags") or {}
        operation = command.option("--operation").lower()
        if operation == "delete":
            resource["tags"] = {name: value for name, value in kept.items() if name not in given}
        else:
            resource["tags"] = {**kept, **given} if operation == "merge" else given
        self._cloud.store.put(path, resource)
        return {"id": f"{path}/providers/Microsoft.Resources/tags/default", "properties": {"tags": resource["tags"]}}


def build_image(dockerfile: str, context: Path, files: Path, arguments: Mapping[str, str]) -> dict[str, Any]:
    """Copy a Dockerfile's files into `files`; return the image's environment, command and working directory."""
    variables: dict[str, str] = {}
    image: dict[str, Any] = {"environment": {}, "command": [], "workdir": "/"}
    files.mkdir(parents=True)
    for line in re.sub(r"\\\s*\n", " ", re.sub(r"(?m)^\s*#.*\n", "", dockerfile)).splitlines():
        instruction, _, rest = line.strip().partition(" ")
        rest = Template(rest).safe_substitute(variables)
        match instruction.upper():
            case "ARG":
                name, _, default = rest.strip().partition("=")
                variables[name] = arguments.get(name, default)
            case "ENV":
                given = dict(word.split("=", 1) for word in shlex.split(rest))
                image["environment"] |= given
                variables |= given
            case "COPY":
                *sources, target = [word for word in shlex.split(rest) if not word.startswith("--")]
                _copy([context / source for source in sources], files / target.lstrip("/"), target.endswith("/"))
            case "WORKDIR":
                image["workdir"] = rest.strip()
                (files / rest.strip().lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "CMD" | "ENTRYPOINT":
                image["command"] += json.loads(rest)
    return image


def _copy(sources: list[Path], target: Path, into: bool) -> None:
    for source in sources:
        if not source.exists():
            raise CliError(1, f'COPY failed: file not found in build context: "{source.name}"')
        place = target / source.name if source.is_file() and (into or len(sources) > 1) else target
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            shutil.copy2(source, place)


def _mapped(text: str, files: Path) -> str:
    """Map a path inside an image to a path on this machine; leave other text unchanged."""
    inside = files / text.lstrip("/")
    return str(inside) if text.startswith("/") and inside.exists() else text


def _running(restarts: int) -> Resource:
    return {"restartCount": restarts, "currentState": {"state": "Running"}}
