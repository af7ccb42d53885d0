"""A workspace's container registry: build images in it, and copy images to it by their digest."""

from __future__ import annotations

import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from azure.ai.ml import MLClient
from azure.storage.blob import BlobClient

from mlops.azure.resource_manager import Resource, ResourceManager
from mlops.azure.workspace import azure_errors, make_error
from mlops.config import Project
from mlops.errors import AzureError
from mlops.release.client import last_error
from mlops.waiting import wait_until

BUILD_SECONDS: Final = 60 * 60
LOG_SECONDS: Final = 60
RUNNING: Final = ("Queued", "Started", "Running")
PLATFORM: Final = {"os": "Linux", "architecture": "amd64"}


class ContainerRegistry:
    """The container registry of a workspace.

    Raises
    ------
    AzureError
        The workspace has none.
    """

    def __init__(self, project: Project, client: MLClient, manager: ResourceManager) -> None:
        self._project = project
        self._manager = manager
        with azure_errors("find the container registry"):
            self.path = str(client.workspaces.get(client.workspace_name).container_registry or "")
        if not self.path:
            raise AzureError(
                f"The workspace {client.workspace_name} has no container registry.",
                "Create one (`az acr create`), and attach it: az ml workspace update "
                f"--name {client.workspace_name} --resource-group {client.resource_group_name} "
                "--container-registry ID --update-dependent-resources",
            )
        with azure_errors("read the container registry"):
            found = manager.send("GET", self.path, "registries")
        self.host = str(found["properties"]["loginServer"])

    def build(self, image: str, context: Path, base: str = "") -> str:
        """Build the Dockerfile in a folder; return the image by its digest.

        Parameters
        ----------
        image : str
            Its name and tag.
        base : str
            The value of the Dockerfile's argument IMAGE.
        """
        with azure_errors(f"build the image {image}"):
            source = self._upload(context)
            request = self._request(image, base, source)
            run = self._send("POST", "scheduleRun", request)["properties"]
            address = f"runs/{run['runId']}"
            run = wait_until(
                lambda run: run["status"] not in RUNNING,
                lambda: self._send("GET", address)["properties"],
                BUILD_SECONDS,
            )
            if run["status"] != "Succeeded":
                reason = f"{run['status']}. The log says: {self._last_error(address)}"
                raise make_error(f"build the image {image}", "ImageBuildFailure", reason)
        name = image.partition(":")[0]
        made = next(one for one in run["outputImages"] if one["repository"] == name)
        return f"{self.host}/{name}@{made['digest']}"

    def copy(self, image: str, tag: str, source: ContainerRegistry) -> str:
        """Copy an image, which is named by its digest, from another registry."""
        content = image.partition("/")[2]
        wanted = {
            "source": {"resourceId": source.path, "sourceImage": content},
            "targetTags": [f"{content.partition('@')[0]}:{tag}"],
            "mode": "Force",
        }
        with azure_errors(f"copy the image {image}"):
            self._manager.send("POST", f"{self.path}/importImage", "registries", wanted)
        return f"{self.host}/{content}"

    def _upload(self, context: Path) -> str:
        """Upload a folder; return its address for a build."""
        place = self._send("POST", "listBuildSourceUploadUrl")
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w:gz") as packed:
                packed.add(context, ".")
            archive.seek(0)
            BlobClient.from_blob_url(place["uploadUrl"]).upload_blob(archive, overwrite=True)
        return str(place["relativePath"])

    def _last_error(self, run: str) -> str:
        link = self._send("POST", f"{run}/listLogSasUrl")["logLink"]
        with urllib.request.urlopen(link, timeout=LOG_SECONDS) as log:  # noqa: S310 -- Azure's
            return last_error(log.read().decode("utf-8", "replace"))

    def _request(self, image: str, base: str, source: str) -> Mapping[str, Any]:
        """Return what to build: in a private registry, only the task of infra/ may push."""
        if self._project.azure.network == "private":
            values = [{"name": "image", "value": image}, {"name": "base", "value": base}]
            return {
                "type": "TaskRunRequest",
                "taskId": f"{self.path}/tasks/{self._project.azure.name('build_task', 'staging')}",
                "overrideTaskStepProperties": {"contextPath": source, "values": values},
            }
        return {
            "type": "DockerBuildRequest",
            "imageNames": [image],
            "isPushEnabled": True,
            "dockerFilePath": "Dockerfile",
            "arguments": [{"name": "IMAGE", "value": base}] if base else [],
            "sourceLocation": source,
            "platform": PLATFORM,
            "timeout": BUILD_SECONDS,
        }

    def _send(self, method: str, name: str, body: Mapping[str, Any] | None = None) -> Resource:
        return self._manager.send(method, f"{self.path}/{name}", "registries/tasks", body)
