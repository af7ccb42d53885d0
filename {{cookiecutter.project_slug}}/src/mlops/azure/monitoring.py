"""How Azure ML's monitoring of production went."""

from __future__ import annotations

from typing import Final

from azure.ai.ml import MLClient

from mlops.azure import specs
from mlops.azure.workspace import azure_errors, find
from mlops.config import Project
from mlops.errors import AzureError, ConfigError

FAILED: Final = ("Failed", "Canceled", "NotResponding")


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
    with azure_errors(f"read the schedule {name}"):
        schedule = find(lambda: client.schedules.get(name))
    if schedule is None:
        raise ConfigError(
            f"The schedule {name} does not exist: production is not monitored.",
            "Release a version to production; `mlops deploy production` schedules it.",
        )
    if not schedule.is_enabled:
        raise AzureError(f"The schedule {name} is off.", "Enable it in the studio: Monitoring.")
    with azure_errors(f"read the runs of {name}"):
        runs = list(client.jobs.list(schedule_defined=True, scheduled_job_name=name))
    if not runs:
        return f"The schedule {name} is on; it has not run yet."
    newest = max(runs, key=lambda job: job.creation_context.created_at)
    status = str(getattr(newest.status, "value", newest.status))  # an Enum, where the SDK knows it
    said = f"{name} ran last at {newest.creation_context.created_at:%Y-%m-%d %H:%M} UTC"
    if status in FAILED:
        raise AzureError(f"{said}: {status}.", f"Its log: {newest.studio_url}")
    return f"{said}: {status}. {newest.studio_url}"
