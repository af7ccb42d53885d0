"""Run `mlops run` as a pipeline of jobs in staging's workspace."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Final

from azure.ai.ml import MLClient
from azure.ai.ml.entities import Job
from azure.core.exceptions import AzureError as SdkError

from mlops.azure import specs
from mlops.azure.assets import provide_compute, provide_data
from mlops.azure.images import Images
from mlops.azure.workspace import azure_errors, put
from mlops.config import Project
from mlops.errors import AzureError

RESULTS: Final = "results"  # the pipeline's output: all files that the verbs wrote
FAILED: Final = "Failed"
# As the verbs print them, and as Azure ML logs why an input cannot be read.
MESSAGES: Final = re.compile(r"^(Error: .*|Fix: .*|Error Code: .*|Error Message: .*)", re.M)


def submit(
    project: Project,
    client: MLClient,
    images: Images,
    rows: Path | None,
    replace: str = "",
    accept: str = "",
) -> Job:
    """Submit the pipeline on a file or folder of rows, by default azure.data or else data.path.

    ``replace`` is why not to compare with the champion; "" compares. ``accept`` is why to accept a
    change of the data; "" stops at one.
    """
    images.provide_environment()
    provide_compute(project, client)
    live = rows is None and project.azure.data
    asset = None if live else provide_data(project, client, rows)
    with azure_errors("submit the pipeline"):
        submitted: Job = client.jobs.create_or_update(
            specs.pipeline(project, asset, replace, accept)
        )
    return submitted


def schedule(project: Project, client: MLClient, images: Images) -> str:
    """Schedule retraining as azureml/schedule.yml says; return the schedule's name.

    Raises
    ------
    ConfigError
        azure.data is not set: a schedule would train on the same rows again and again.
    """
    wanted = specs.schedule(project)
    images.provide_environment()
    provide_compute(project, client)
    with azure_errors("schedule the pipeline"):
        put(client.schedules, wanted)
    return str(wanted.name)


def follow(client: MLClient, name: str, minutes: int | None = None) -> bool:
    """Show a job's progress until it has ended; return whether it has, within some minutes.

    Raises
    ------
    AzureError
        A step failed, or the job could not be followed.
    """
    broken: SdkError | None = None
    try:
        if minutes is None:
            client.jobs.stream(name)
        elif not _stream_for(client, name, minutes):
            return False
    except SdkError as error:
        broken = error
    with azure_errors(f"read the job {name}"):
        job = client.jobs.get(name)
    if job.status == FAILED:
        raise AzureError(
            f"The job {name} failed{_failed_step(client, name)}\nAll logs: {job.studio_url}",
            "Fix the cause, then run the same command again.",
        )
    if broken is not None or job.status != "Completed":
        raise AzureError(
            f"The job {name} could not be followed to its end; its last status is {job.status}. "
            f"{broken or ''}".strip(),
            f"It may still be running; follow it with `mlops run --on azureml --job {name}`.",
        )
    return True


def _stream_for(client: MLClient, name: str, minutes: int) -> bool:
    """Show a job's progress for some minutes; return whether it has ended within them."""
    failed: list[Exception] = []

    def stream() -> None:
        try:
            client.jobs.stream(name)
        except Exception as error:
            failed.append(error)

    streaming = threading.Thread(target=stream, daemon=True)  # which ends with the command
    streaming.start()
    streaming.join(minutes * 60)
    for error in failed:
        raise error
    return not streaming.is_alive()


def fetch(project: Project, client: MLClient, name: str) -> None:
    """Replace the results in outputs/ by those of a job."""
    with tempfile.TemporaryDirectory() as folder:
        found = download(client, name, RESULTS, Path(folder))
        for kind in ("validation", "training", "evaluation", "registration", "report"):
            shutil.rmtree(project.outputs / kind, ignore_errors=True)
        shutil.copytree(found, project.outputs, dirs_exist_ok=True)


def download(client: MLClient, name: str, output: str, folder: Path) -> Path:
    """Download an output of a job that has ended into a folder; return where it is there."""
    with azure_errors(f"download the {output} of {name}"):
        client.jobs.download(name, download_path=folder, output_name=output)
    found = folder / "named-outputs" / output
    if not found.is_dir():
        raise AzureError(
            f"The job {name} has no {output}.",
            f"Look at it in the studio; once it has them: az ml job download --name {name} "
            f"--output-name {output}",
        )
    return found


def _failed_step(client: MLClient, name: str) -> str:
    """Return which step failed and its error, as far as known."""
    with contextlib.suppress(AzureError), azure_errors("read the steps"):
        for step in client.jobs.list(parent_job_name=name):
            if step.status == FAILED:
                with tempfile.TemporaryDirectory() as folder:
                    client.jobs.download(step.name, download_path=folder)
                    files = sorted(Path(folder).rglob("*"))
                    logs = [file for file in files if file.suffix in (".txt", ".log")]
                    text = "\n".join(log.read_text("utf-8", errors="replace") for log in logs)
                messages = MESSAGES.findall(text) or text.strip().splitlines()[-1:]
                return f" in the step {step.display_name}: {' '.join(messages)}"
    return "."
