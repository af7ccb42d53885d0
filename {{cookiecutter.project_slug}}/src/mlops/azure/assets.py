"""Create or update the data and the compute that jobs need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from azure.ai.ml import MLClient
from azure.ai.ml.entities import Data

from mlops.azure import specs
from mlops.azure.workspace import azure_errors, find, put
from mlops.config import Project
from mlops.errors import AzureError
from mlops.outputs import digest


def provide_data(project: Project, client: MLClient, rows: Path | None = None) -> Data:
    """Upload rows as a data asset, unless the same rows were uploaded before."""
    rows = rows or project.data_path
    with azure_errors(f"upload {rows.name}"):
        wanted = specs.data(project, rows, digest(rows))
        if find(lambda: client.data.get(wanted.name, wanted.version)) is None:
            client.data.create_or_update(wanted)
    return wanted


def provide_compute(project: Project, client: MLClient) -> None:
    """Create the compute cluster of jobs, or update its limits.

    Raises
    ------
    AzureError
        The cluster exists with other machines, which Azure cannot change.
    """
    with azure_errors("create or update the compute cluster"):
        wanted = specs.compute(project)
        present: Any = find(lambda: client.compute.get(wanted.name))
        if present is None:
            put(client.compute, wanted)
            return
        found, expected = (f"{c.size} {c.tier}".lower() for c in (present, wanted))
        if found != expected:
            raise AzureError(
                f"The compute cluster {wanted.name} is {found}, but project.yml says {expected}.",
                "Put its size and tier into project.yml, or delete it (which cancels its jobs and "
                "loses nothing else) and run the same command again: az ml compute "
                f"delete --name {wanted.name} --resource-group {client.resource_group_name} "
                f"--workspace-name {client.workspace_name}",
            )
        limits = {
            name: getattr(wanted, name) for name in ("max_instances", "idle_time_before_scale_down")
        }
        if any(int(getattr(present, name) or 0) != value for name, value in limits.items()):
            for name, value in limits.items():
                setattr(present, name, value)
            if present.network_settings and not present.network_settings.subnet:
                present.network_settings = None  # the SDK cannot send what it has read
            put(client.compute, present)
