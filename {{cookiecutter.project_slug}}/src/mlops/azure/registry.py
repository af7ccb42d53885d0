"""The registries of the two workspaces, asked through Azure's own interface.

Jobs register and compare through MLflow, whose plugin the platform logs in. From outside, the
plugin would look for a login of its own, down to opening a browser; so here the workspace's
client asks. Both see the same models, versions and tags.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlops.azure.workspace import azure_errors
from mlops.config import Project
from mlops.model import tags
from mlops.model.registry import Registry, Version

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Model


class WorkspaceRegistry(Registry):
    """The versions of one project's model in a workspace."""

    def __init__(self, project: Project, client: MLClient) -> None:
        self.name = project.project
        self.client = client

    def versions(self) -> list[Version]:
        with azure_errors(f"read the versions of {self.name}"):
            return sorted(
                (as_version(model) for model in self.client.models.list(name=self.name)),
                key=lambda version: version.number,
            )

    def _fetch(self, version: Version, folder: Path) -> Path:
        with azure_errors(f"fetch {self.name} {version.number}"):
            self.client.models.download(self.name, str(version.number), folder)
        return next(folder.rglob("MLmodel")).parent

    def _tag(self, version: Version, key: str, value: str) -> None:
        with azure_errors(f"tag {self.name} {version.number}"):
            model = self.client.models.get(self.name, str(version.number))
            model.tags = {**model.tags, key: value}
            self.client.models.create_or_update(model)


class ProductionRegistry(WorkspaceRegistry):
    """Production's registry: what it says of a version is told to staging's, too.

    Staging's is the one in which the next challenger looks for the champion.
    """

    def __init__(self, project: Project, client: MLClient, staging: WorkspaceRegistry) -> None:
        super().__init__(project, client)
        self._staging = staging

    def retire_others(self, version: Version, withdraws: int | None = None) -> None:
        super().retire_others(version, withdraws)
        told = {known.number: known for known in self._staging.versions()}
        for here in self.versions():
            there = told.get(here.number)
            for key in (tags.STAGE, tags.REPLACED):
                if there and key in here.tags and there.tags.get(key) != here.tags[key]:
                    self._staging._tag(there, key, here.tags[key])


def as_version(model: Model) -> Version:
    """A workspace's model as the lifecycle knows it."""
    number = int(str(model.version))
    return Version(str(model.name), number, model.job_name or "", dict(model.tags or {}))
