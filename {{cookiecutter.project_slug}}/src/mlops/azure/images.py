"""Build images in a workspace's container registry, and copy them by digest.

The image of jobs and endpoints is built once, for staging. Production gets a copy with the same
digest, so it can only run what staging tested.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from azure.ai.ml import MLClient
from azure.storage.blob import BlobClient

from mlops.azure import specs
from mlops.azure.resource_manager import Resource, ResourceManager
from mlops.azure.workspace import azure_errors, find, make_error
from mlops.config import Project
from mlops.errors import AzureError
from mlops.release.client import last_error, wait_until
from mlops.release.target import Tell

BUILD_SECONDS: Final = 60 * 60
RUNNING: Final = ("Queued", "Started", "Running")
PLATFORM: Final = {"os": "Linux", "architecture": "amd64"}


class ImageRegistry:
    """The container registry of a workspace."""

    def __init__(self, project: Project, client: MLClient, manager: ResourceManager) -> None:
        self._project = project
        self._manager = manager
        with azure_errors("find the container registry"):
            self.path = str(client.workspaces.get(client.workspace_name).container_registry or "")
        if not self.path:
            raise AzureError(
                f"The workspace {client.workspace_name} has no container registry.",
                "Create one and attach it, as docs/azure.md says.",
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
            name = f"runs/{run['runId']}"
            run = wait_until(
                lambda run: run["status"] not in RUNNING,
                lambda: self._send("GET", name)["properties"],
                BUILD_SECONDS,
            )
            if run["status"] != "Succeeded":
                link = self._send("POST", f"{name}/listLogSasUrl")["logLink"]
                with urllib.request.urlopen(link, timeout=60) as log:  # noqa: S310 -- Azure's
                    reason = last_error(log.read().decode("utf-8", "replace"))
                reason = f"{run['status']}. The log says: {reason}"
                raise make_error(f"build the image {image}", "ImageBuildFailure", reason)
        return f"{self.host}/{image.partition(':')[0]}@{run['outputImages'][0]['digest']}"

    def copy(self, image: str, tag: str, source: ImageRegistry) -> str:
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


class Images:
    """The images of one environment.

    Parameters
    ----------
    staging, own : MLClient
        The workspace where images are built, and the one where they are used.
    """

    def __init__(
        self,
        project: Project,
        staging: MLClient,
        own: MLClient,
        manager: ResourceManager,
        tell: Tell = print,
    ) -> None:
        self._project = project
        self._staging = staging
        self._own = own
        self._manager = manager
        self._tell = tell

    def provide_environment(self) -> str:
        """Return the image of jobs and endpoints, by its digest, after building or copying it.

        The environment in the workspace is the record of the image.

        Raises
        ------
        AzureError
            Production wants an image that staging has not got.
        """
        if recorded := self._recorded(self._own):
            return recorded
        if self._own is self._staging:
            return self._record(self._build())
        tested = self._recorded(self._staging)
        if tested is None:
            raise AzureError(
                "Staging has not tested the image of this requirements.txt and Dockerfile.",
                "Release to staging first, or check out the commit that was released.",
            )
        version, source = specs.environment_version(self._project), self._registry(self._staging)
        return self._record(self._registry(self._own).copy(tested, version, source))

    def build_server(self, version: int, digest: str, model: Path) -> str:
        """Return an image of a version's server, based on the image of jobs and endpoints."""
        base = self.provide_environment()
        with tempfile.TemporaryDirectory() as folder:
            copy_server(self._project, version, model, Path(folder))
            image = f"{self._project.project}-server:{version}-{digest[:12]}"
            return self._registry(self._own).build(image, Path(folder), base)

    def _recorded(self, client: MLClient) -> str | None:
        name, version = self._project.project, specs.environment_version(self._project)
        with azure_errors("read the environment of jobs and endpoints"):
            found = find(lambda: client.environments.get(name, version))
        return str(found.image) if found and found.image else None

    def _record(self, image: str) -> str:
        with azure_errors("create the environment of jobs and endpoints"):
            self._own.environments.create_or_update(specs.environment(self._project, image))
        return image

    def _build(self) -> str:
        image = f"{self._project.project}:{specs.environment_version(self._project)}"
        self._tell(f"Building the image {image}, once for these requirements: about ten minutes.")
        with tempfile.TemporaryDirectory() as folder:
            specs.copy_image_files(self._project, Path(folder))
            return self._registry(self._own).build(image, Path(folder))

    def _registry(self, client: MLClient) -> ImageRegistry:
        return ImageRegistry(self._project, client, self._manager)


def copy_server(project: Project, version: int, model: Path, context: Path) -> None:
    """Copy what azureml/container/Dockerfile needs into a folder."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(project.root / "src", context / "src", ignore=ignore)
    shutil.copytree(model, context / "models" / project.project / str(version) / "model")
    shutil.copy2(project.root / "azureml" / "container" / "Dockerfile", context)
