"""The registries of the two workspaces, through Azure ML's SDK.

Jobs use MLflow, which the platform logs in. Elsewhere, MLflow's Azure plugin would log in by
itself, even through a browser; so commands use the workspace's client. Both see the same models,
versions and tags.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from azure.ai.ml import MLClient
from azure.ai.ml.entities import Model

from mlops.azure.workspace import azure_errors, find, wait_until_visible
from mlops.config import Project
from mlops.errors import ReleaseError
from mlops.model import tags
from mlops.model.registry import Registry, Version
from mlops.release.target import Tell


class WorkspaceRegistry(Registry):
    """The versions of the project's model in a workspace."""

    def __init__(self, project: Project, client: MLClient) -> None:
        self.name = project.project
        self._workspace = client

    def versions(self) -> list[Version]:
        with azure_errors(f"read the versions of {self.name}"):
            return sorted(
                (as_version(model) for model in self._workspace.models.list(name=self.name)),
                key=lambda version: version.number,
            )

    def find(self, number: int) -> Version | None:
        with azure_errors(f"read {self.name} {number}"):
            model = find(lambda: self._workspace.models.get(self.name, str(number)))
        return as_version(model) if model else None

    def _fetch(self, version: Version, folder: Path) -> Path:
        with azure_errors(f"download {self.name} {version.number}"):
            self._workspace.models.download(self.name, str(version.number), folder)
        return next(folder.rglob("MLmodel")).parent

    def tag(self, version: Version, key: str, value: str) -> None:
        with azure_errors(f"tag {self.name} {version.number}"):
            model = self._workspace.models.get(self.name, str(version.number))
            model.tags = {**model.tags, key: value}
            self._workspace.models.create_or_update(model)


class ProductionRegistry(WorkspaceRegistry):
    """Production's registry, whose versions are copies of staging's.

    It also copies its tags to staging's, where the next challenger looks for the champion.
    """

    def __init__(self, project: Project, client: MLClient, staging: WorkspaceRegistry) -> None:
        super().__init__(project, client)
        self._staging = staging

    def retire_others(self, version: Version, withdraws: int | None = None) -> None:
        super().retire_others(version, withdraws)
        originals = {original.number: original for original in self._staging.versions()}
        for copy in self.versions():
            original = originals.get(copy.number)
            for key in (tags.STAGE, tags.REPLACED):
                if original and key in copy.tags and original.tags.get(key) != copy.tags[key]:
                    self._staging.tag(original, key, copy.tags[key])

    def promote(self, version: Version, tell: Tell) -> Version:
        """Copy a version from staging's registry with the same number, files and tags.

        A version that exists here with the same digest stays as it is.

        Raises
        ------
        ReleaseError
            The files changed after registration or during the copy, or the number belongs to
            another model.
        """
        copy = self.find(version.number)
        if copy is None:
            tell(f"Copying version {version.number} to production's workspace.")
            with tempfile.TemporaryDirectory() as folder:
                copy = self._upload(version, self._staging.download(version, Path(folder)))
            with tempfile.TemporaryDirectory() as folder:
                self.download(copy, Path(folder))
        if copy.tags.get(tags.MODEL_DIGEST) != version.tags.get(tags.MODEL_DIGEST):
            raise ReleaseError(
                f"{self.name} {version.number} in production's workspace is another model.",
                "Both are kept, and production serves what it served. Train again: a new version "
                "gets a number of its own. Then find out who registered the other one.",
            )
        return copy

    def _upload(self, version: Version, files: Path) -> Version:
        number = str(version.number)
        model = Model(
            name=self.name,
            version=number,
            path=files,
            type="mlflow_model",
            tags=dict(version.tags),
            description=f"Copied from staging, where run {version.run_id} created it.",
        )
        with azure_errors(f"copy {self.name} {number} to production's workspace"):
            self._workspace.models.create_or_update(model)
            return as_version(
                wait_until_visible(lambda: self._workspace.models.get(self.name, number))
            )


def as_version(model: Model) -> Version:
    """Return a workspace's model as a `Version`."""
    number = int(str(model.version))
    return Version(str(model.name), number, model.job_name or "", dict(model.tags or {}))
