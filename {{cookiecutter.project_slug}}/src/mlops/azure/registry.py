"""The registries of the two workspaces, through Azure ML's SDK.

Jobs use MLflow, which the platform logs in. Elsewhere, MLflow's Azure plugin would log in by
itself, even through a browser; so commands use the workspace's client. Both see the same models,
versions and tags.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlops.azure.workspace import azure_errors
from mlops.config import Project
from mlops.model.registry import Registry, Version
from mlops.model.tags import REPLACED, STAGE

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Model


class WorkspaceRegistry(Registry):
    """The versions of the project's model in a workspace."""

    def __init__(self, project: Project, client: MLClient) -> None:
        self.name = project.project
        self.client = client

    def versions(self) -> list[Version]:
        with azure_errors(f"read the versions of {self.name}"):
            return sorted(
                (as_version(model) for model in self.client.models.list(name=self.name)),
                key=lambda version: version.number,
            )

    def find(self, number: int) -> Version | None:
        from azure.core.exceptions import ResourceNotFoundError

        with azure_errors(f"read {self.name} {number}"):
            try:
                return as_version(self.client.models.get(self.name, str(number)))
            except ResourceNotFoundError:
                return None

    def _fetch(self, version: Version, folder: Path) -> Path:
        with azure_errors(f"download {self.name} {version.number}"):
            self.client.models.download(self.name, str(version.number), folder)
        return next(folder.rglob("MLmodel")).parent

    def _tag(self, version: Version, key: str, value: str) -> None:
        with azure_errors(f"tag {self.name} {version.number}"):
            model = self.client.models.get(self.name, str(version.number))
            model.tags = {**model.tags, key: value}
            self.client.models.create_or_update(model)


class ProductionRegistry(WorkspaceRegistry):
    """Production's registry, which also copies its tags to staging's.

    The next challenger looks for the champion in staging's.
    """

    def __init__(self, project: Project, client: MLClient, staging: WorkspaceRegistry) -> None:
        super().__init__(project, client)
        self._staging = staging

    def retire_others(self, version: Version, withdraws: int | None = None) -> None:
        super().retire_others(version, withdraws)
        originals = {original.number: original for original in self._staging.versions()}
        for copy in self.versions():
            original = originals.get(copy.number)
            for key in (STAGE, REPLACED):
                if original and key in copy.tags and original.tags.get(key) != copy.tags[key]:
                    self._staging._tag(original, key, copy.tags[key])


def as_version(model: Model) -> Version:
    """Return a workspace's model as a `Version`."""
    number = int(str(model.version))
    return Version(str(model.name), number, model.job_name or "", dict(model.tags or {}))
