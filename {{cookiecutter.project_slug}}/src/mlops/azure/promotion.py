"""Copies the version that staging has proved into production's workspace, unchanged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from mlops.azure.registry import WorkspaceRegistry, as_version
from mlops.azure.workspace import azure_errors, wait_until_visible
from mlops.errors import ReleaseError
from mlops.model.registry import Version


def promote(
    version: Version,
    staging: WorkspaceRegistry,
    production: WorkspaceRegistry,
    tell: Callable[[str], None],
) -> Version:
    """Copy a version from one registry to the other: same number, same files, same tags.

    A version that is there already stays as it is, if it has the same digest.

    Raises
    ------
    ReleaseError
        The files are not those that were registered, before the copy or after it, or another
        model has that number.
    """
    number = version.number
    there = {known.number: known for known in production.versions()}.get(number)
    if there is None:
        tell(f"Copying version {number} to production's workspace.")
        with tempfile.TemporaryDirectory() as folder:
            there = _copy(version, staging.download(version, Path(folder)), production)
        with tempfile.TemporaryDirectory() as folder:
            production.download(there, Path(folder))
    digest = "mlops.model_digest"
    if there.tags.get(digest) != version.tags.get(digest):
        raise ReleaseError(
            f"Production's workspace holds another {version.name} {number}.",
            "Archive that one in production's workspace, and register a new version in staging.",
        )
    return there


def _copy(version: Version, files: Path, production: WorkspaceRegistry) -> Version:
    from azure.ai.ml.entities import Model

    client, name, number = production.client, version.name, str(version.number)
    model = Model(
        name=name,
        version=number,
        path=files,
        type="mlflow_model",
        tags=dict(version.tags),
        description=f"Copied from staging, where run {version.run_id} made it.",
    )
    with azure_errors(f"copy {name} {number} to production's workspace"):
        client.models.create_or_update(model)
        return as_version(wait_until_visible(lambda: client.models.get(name, number)))
