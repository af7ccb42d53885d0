"""Container registries: builds, and copies of images.

Sources: the requests and their order, the Azure CLI's modules acr/build.py, acr/task.py and acr/_archive_utils.py;
MicrosoftDocs/azure-management-docs, articles/container-registry/: container-registry-import-images.md (the role on both
registries), manage-network-bypass-policy-for-tasks.md (who may push to a registry without public access).
"""

import base64
import re
import shlex
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from doubles import errors
from doubles.cloud import GROUP, Cloud
from doubles.images import HOST, BuildError
from doubles.roles import Need
from doubles.store import Resource
from doubles.web import OPEN, Answer, AzureError, Names, Request, Route

KIND = "Microsoft.ContainerRegistry/registries"
REGISTRY = GROUP + f"/providers/{KIND}/{{registry}}"
PULL, PUSH = f"{KIND}/pull/read", f"{KIND}/push/write"


class Registries:
    """Answers the requests to container registries."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._sources: dict[str, bytes] = {}
        self._runs: dict[str, dict[str, Any]] = {}
        self._logs: dict[str, str] = {}

    def routes(self) -> list[Route]:
        return [
            Route("GET", REGISTRY, self._get),
            Route("POST", REGISTRY + "/listBuildSourceUploadUrl", self._place),
            Route("PUT", "/acrtasks/sources/{name}", self._upload, OPEN),
            Route("POST", REGISTRY + "/scheduleRun", self._schedule),
            Route("GET", REGISTRY + "/runs/{run}", self._show),
            Route("POST", REGISTRY + "/runs/{run}/listLogSasUrl", self._log_url),
            Route("GET", "/acrtasks/logs/{run}", self._log, OPEN),
            Route("POST", REGISTRY + "/importImage", self._import),
        ]

    def _get(self, request: Request, names: Names) -> Answer:
        found = self._cloud.store.existing(request.path)
        found["properties"]["loginServer"] = names["registry"] + HOST
        return Answer(200, found)

    def _place(self, _: Request, names: Names) -> Answer:
        self._existing(names)
        name = f"{uuid.uuid4().hex}.tar.gz"
        return Answer(200, {"uploadUrl": f"{self._cloud.url}/acrtasks/sources/{name}?sig=1", "relativePath": name})

    def _upload(self, request: Request, names: Names) -> Answer:
        self._sources[names["name"]] = request.body
        return Answer(201, None)

    def _schedule(self, request: Request, names: Names) -> Answer:
        registry, wanted = self._existing(names), request.json()
        run = f"cb{len(self._runs) + 1}"
        self._runs[run] = {"runId": run, "status": "Queued", "runType": "QuickBuild"}
        threading.Thread(target=self._run, args=(request.call, run, registry, wanted), daemon=True).start()
        return Answer(200, self._described(registry["id"], run))

    def _show(self, _: Request, names: Names) -> Answer:
        if names["run"] not in self._runs:
            raise errors.not_found(names["run"])
        return Answer(200, self._described(REGISTRY.format(**names), names["run"]))

    def _described(self, registry: str, run: str) -> Resource:
        return {"id": f"{registry}/runs/{run}", "name": run, "properties": dict(self._runs[run])}

    def _log_url(self, _: Request, names: Names) -> Answer:
        return Answer(200, {"logLink": f"{self._cloud.url}/acrtasks/logs/{names['run']}"})

    def _log(self, _: Request, names: Names) -> Answer:
        return Answer(200, self._logs[names["run"]].encode())

    def _run(self, call: str, run: str, registry: Resource, wanted: Resource) -> None:
        """Build and push an image."""
        host = registry["name"] + HOST
        try:
            while fault := self._cloud.faults.take(call, operation=True):
                if fault.kind == "provisioning-fails":
                    raise BuildError(fault.options.get("message", "the build has failed"))
                time.sleep(fault.seconds)
            image, source, arguments = self._understand(registry, host, wanted)
            repository, _, tag = image.partition(":")
            with tempfile.TemporaryDirectory() as folder:
                with tarfile.open(fileobj=BytesIO(self._sources[source])) as packed:
                    packed.extractall(folder, filter="data")
                digest = self._cloud.images.build(host, repository, Path(folder), arguments)
            output = {"registry": host, "repository": repository, "tag": tag, "digest": digest}
            self._runs[run] |= {"outputImages": [output], "status": "Succeeded"}
        except BuildError as error:
            self._logs[run] = f"Step 1/2 : FROM ...\nfailed to build: {error}\n"
            self._runs[run]["status"] = "Failed"

    def _understand(self, registry: Resource, host: str, wanted: Resource) -> tuple[str, str, Mapping[str, str]]:
        """Return the image, the source and the arguments of a build, if it may push."""
        closed = registry["properties"].get("publicNetworkAccess") == "Disabled"
        if wanted["type"] == "DockerBuildRequest":
            if closed:
                raise BuildError(f"denied: client with IP '20.0.0.1' is not allowed access. Registry: {host}")
            given = {one["name"]: one["value"] for one in wanted["arguments"]}
            return wanted["imageNames"][0], wanted["sourceLocation"], given
        task = self._cloud.store.existing(wanted["taskId"])
        own = (task.get("identity") or {}).get("principalId", "")
        credentials = (task["properties"].get("credentials") or {}).get("customRegistries") or {}
        if closed and not registry["properties"].get("networkRuleBypassAllowedForTasks"):
            raise BuildError("403 forbidden: networkRuleBypassAllowedForTasks is false")
        if credentials.get(host, {}).get("identity") != "[system]" or self._cloud.access.missing(
            own, [Need(PUSH, registry["id"])]
        ):
            raise BuildError(f"unauthorized: the task's identity may not push to {host}")
        override = wanted["overrideTaskStepProperties"]
        values = {one["name"]: one["value"] for one in override["values"]}
        image, arguments = _steps(task["properties"]["step"]["encodedTaskContent"], host, values)
        return image, override["contextPath"], arguments

    def _import(self, request: Request, names: Names) -> Answer:
        """Copy an image by its digest, if the caller may also pull it."""
        target, given = self._existing(names), request.json()
        source = self._cloud.store.existing(given["source"]["resourceId"])
        self._cloud.authorize(request.caller, [Need(PULL, source["id"])])
        for one in (source, target):
            rules = one["properties"]
            if (
                rules.get("publicNetworkAccess") == "Disabled"
                and rules.get("networkRuleBypassOptions") != "AzureServices"
            ):
                raise AzureError(403, "Forbidden", f"The registry {one['name']} denies access from this network.")
        reference = f"{source['name']}{HOST}/{given['source']['sourceImage']}"
        if self._cloud.images.find(reference) is None:
            raise AzureError(400, "InvalidOperation", f"Operation registries-x is invalid: {reference} was not found.")
        return self._cloud.operations.post(request, lambda: self._cloud.images.copy(reference, target["name"] + HOST))

    def _existing(self, names: Names) -> Resource:
        return self._cloud.store.existing(REGISTRY.format(**names))


def _steps(content: str, host: str, values: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Return the image and the arguments of a task's steps, which build and push it."""
    text = base64.b64decode(content).decode()
    steps = yaml.safe_load(text)["steps"]

    def fill(part: str) -> str:
        return re.sub(r"\{\{\.Values\.(\w+)\}\}", lambda found: values[found[1]], part).replace("$Registry", host)

    words = [fill(word) for word in shlex.split(steps[0]["build"])]
    image = words[words.index("--tag") + 1]
    pushed = [fill(one) for one in steps[1]["push"]]
    if pushed != [image] or words[-1] != ".":
        raise BuildError(f"{image} is not pushed")
    pairs = [words[place + 1] for place, word in enumerate(words) if word == "--build-arg"]
    return image.partition("/")[2], dict(pair.split("=", 1) for pair in pairs)
