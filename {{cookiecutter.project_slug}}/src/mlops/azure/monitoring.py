"""How Azure ML's monitoring of production went."""

from __future__ import annotations

from azure.ai.ml import MLClient
from azure.core.exceptions import ResourceNotFoundError

from mlops.azure import specs
from mlops.azure.workspace import azure_errors
from mlops.config import Project
from mlops.errors import AzureError, ConfigError

FAILED = ("Failed", "Canceled", "NotResponding")


def last_run(project: Project, client: MLClient) -> str:
    """Return in a sentence when the monitoring ran the last time, and how it ended.

    Raises
    ------
    ConfigError
        The project does not monitor production, or nothing was released yet.
    AzureError
        The last run failed.
    """
    if not specs.is_monitored(project):
        raise ConfigError("azureml/monitoring.yml does not exist: production is not monitored.")
    name = specs.monitor_name(project, "production")
    try:
        with azure_errors(f"read the schedule {name}"):
            enabled = client.schedules.get(name).is_enabled
    except AzureError as error:
        if not isinstance(error.__cause__, ResourceNotFoundError):
            raise
        text = f"The schedule {name} does not exist: production is not monitored."
        fix = "Release a version to production; `mlops deploy production` schedules it."
        raise ConfigError(text, fix) from error
    if not enabled:
        raise AzureError(f"The schedule {name} is off.", "Enable it in the studio: Monitoring.")
    with azure_errors(f"read the runs of {name}"):
        runs = list(client.jobs.list(schedule_defined=True, scheduled_job_name=name))
    if not runs:
        return f"The schedule {name} is on; it has not run yet."
    newest = max(runs, key=lambda job: job.creation_context.created_at)
    said = f"{name} ran last at {newest.creation_context.created_at:%Y-%m-%d %H:%M} UTC"
    if newest.status in FAILED:
        raise AzureError(f"{said}: {newest.status}.", f"Its log: {newest.studio_url}")
    return f"{said}: {newest.status}. {newest.studio_url}"
