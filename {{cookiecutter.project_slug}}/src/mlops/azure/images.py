"""The images of jobs and servers.

That of jobs and endpoints is built once, for staging. Production gets a copy with the same digest,
so it can only run what staging tested.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from azure.ai.ml import MLClient

from mlops.azure import specs
from mlops.azure.container_registry import ContainerRegistry
from mlops.azure.resource_manager import ResourceManager
from mlops.azure.workspace import azure_errors, find
from mlops.config import Project
from mlops.errors import AzureError
from mlops.release.target import Tell


class Images:
    """The images of one environment.

    Parameters
    ----------
    staging, own : MLClient
        The workspace where images are built, and the one where they are used.
    """

    def __init__(
        self, project: Project, staging: MLClient, own: MLClient, manager: ResourceManager
    ) -> None:
        self._project = project
        self._staging = staging
        self._own = own
        self._manager = manager

    def provide_environment(self, tell: Tell = print) -> str:
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
            return self._record(self._build(tell))
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

    def _build(self, tell: Tell) -> str:
        image = f"{self._project.project}:{specs.environment_version(self._project)}"
        tell(f"Building the image {image}, once for these requirements: about ten minutes.")
        with tempfile.TemporaryDirectory() as folder:
            specs.copy_image_files(self._project, Path(folder))
            return self._registry(self._own).build(image, Path(folder))

    def _registry(self, client: MLClient) -> ContainerRegistry:
        return ContainerRegistry(self._project, client, self._manager)


def copy_server(project: Project, version: int, model: Path, context: Path) -> None:
    """Copy what azureml/container/Dockerfile needs into a folder."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(project.root / "src", context / "src", ignore=ignore)
    shutil.copytree(model, context / "models" / project.project / str(version) / "model")
    shutil.copy2(project.root / "azureml" / "container" / "Dockerfile", context)
