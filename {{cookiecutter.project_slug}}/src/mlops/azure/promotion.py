"""Promote a version: copy it unchanged from staging's workspace to production's."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlops.azure.registry import WorkspaceRegistry, as_version
from mlops.azure.workspace import azure_errors, wait_until_visible
from mlops.errors import ReleaseError
from mlops.model import tags
from mlops.model.registry import Version
from mlops.release.platform import Tell


def promote(
    version: Version, staging: WorkspaceRegistry, production: WorkspaceRegistry, tell: Tell
) -> Version:
    """Copy a version to production's registry with the same number, files and tags.

    A version that exists there with the same digest stays as it is.

    Raises
    ------
    ReleaseError
        The files changed after registration or during the copy, or the number belongs to
        another model.
    """
    number = version.number
    copy = production.find(number)
    if copy is None:
        tell(f"Copying version {number} to production's workspace.")
        with tempfile.TemporaryDirectory() as folder:
            copy = _copy(version, staging.download(version, Path(folder)), production)
        with tempfile.TemporaryDirectory() as folder:
            production.download(copy, Path(folder))
    if copy.tags.get(tags.MODEL_DIGEST) != version.tags.get(tags.MODEL_DIGEST):
        raise ReleaseError(
            f"{version.name} {number} in production's workspace is another model.",
            "Archive it there, and register a new version in staging.",
        )
    return copy


def _copy(version: Version, files: Path, production: WorkspaceRegistry) -> Version:
    from azure.ai.ml.entities import Model

    client, name, number = production.client, version.name, str(version.number)
    model = Model(
        name=name,
        version=number,
        path=files,
        type="mlflow_model",
        tags=dict(version.tags),
        description=f"Copied from staging, where run {version.run_id} created it.",
    )
    with azure_errors(f"copy {name} {number} to production's workspace"):
        client.models.create_or_update(model)
        return as_version(wait_until_visible(lambda: client.models.get(name, number)))
