"""Create or update the environment, data and compute that jobs and endpoints need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.azure import specs
from mlops.azure.workspace import azure_errors, finish
from mlops.config import Project
from mlops.errors import AzureError
from mlops.outputs import digest

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import AmlCompute, Data


def provide_environment(project: Project, client: MLClient) -> None:
    """Create the image of jobs and endpoints, unless it exists with the same files."""
    from azure.core.exceptions import ResourceNotFoundError

    with azure_errors("create the environment of jobs and endpoints"):
        wanted = specs.environment(project)
        try:
            client.environments.get(wanted.name, wanted.version)
        except ResourceNotFoundError:
            client.environments.create_or_update(wanted)


def provide_data(project: Project, client: MLClient, rows: Path | None = None) -> Data:
    """Upload rows as a data asset, unless the same rows were uploaded before."""
    from azure.core.exceptions import ResourceNotFoundError

    rows = rows or project.data_path
    with azure_errors(f"upload {rows.name}"):
        wanted = specs.data(project, digest(rows), rows)
        try:
            client.data.get(wanted.name, wanted.version)
        except ResourceNotFoundError:
            client.data.create_or_update(wanted)
    return wanted


def provide_compute(project: Project, client: MLClient) -> None:
    """Create the compute cluster of jobs, or update its limits.

    Raises
    ------
    AzureError
        The cluster exists with other machines, which Azure cannot change.
    """
    from azure.core.exceptions import ResourceNotFoundError

    with azure_errors("create or update the compute cluster"):
        wanted = specs.compute(project)
        try:
            present: Any = client.compute.get(wanted.name)
        except ResourceNotFoundError:
            _put(client, wanted)
            return
        found, expected = (f"{c.size} {c.tier}".lower() for c in (present, wanted))
        if found != expected:
            raise AzureError(
                f"The compute cluster {wanted.name} is {found}, but project.yml says {expected}.",
                f"Delete it, then run the same command again: az ml compute delete --name "
                f"{wanted.name} --resource-group {client.resource_group_name} "
                f"--workspace-name {client.workspace_name}",
            )
        limits = {
            "max_instances": wanted.max_instances,
            "idle_time_before_scale_down": wanted.idle_time_before_scale_down,
        }
        if any(int(getattr(present, name) or 0) != value for name, value in limits.items()):
            for name, value in limits.items():
                setattr(present, name, value)
            _put(client, present)


def _put(client: MLClient, compute: AmlCompute) -> None:
    poller = client.compute.begin_create_or_update(compute)
    finish(poller, lambda: client.compute.get(compute.name))
