"""One step of a job: inputs and outputs are folders, its command is a process on this machine."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doubles import SUBSCRIPTION
from doubles.cloud import Cloud, datastore_uri
from doubles.identity import OBJECT
from doubles.processes import Child
from doubles.store import Resource
from doubles.web import ML_AUDIENCE, AzureError

DATA_TYPES = ("uri_file", "uri_folder", "mltable")


@dataclass
class Run:
    """A job or one of its steps, as in the run history.

    Attributes
    ----------
    outputs :
        The address of each named output.
    best :
        The name of a sweep's best trial.
    identity :
        The object id of the compute's identity, with which its steps use storage and the workspace.
    reused :
        The name of the earlier run whose outputs it has, instead of running again.
    """

    workspace: str
    name: str
    display_name: str
    experiment: str
    parent: str = ""
    kind: str = "azureml.StepRun"
    status: str = "NotStarted"
    error: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    best: str = ""
    identity: str = ""
    reused: str = ""

    @property
    def ended(self) -> bool:
        return self.status in ("Completed", "Failed", "Canceled")

    def files(self, cloud: Cloud) -> Path:
        """Return the folder of the run's artifacts."""
        return cloud.datastore(self.workspace, "workspaceartifactstore") / "ExperimentRun" / f"dcid.{self.name}"


class Step:
    """A command component with values for its inputs.

    Parameters
    ----------
    spec :
        The component's specification, as registered.
    inputs :
        The values of its inputs: text, or the path of a file or folder.
    """

    def __init__(self, cloud: Cloud, run: Run, spec: Resource, inputs: Mapping[str, str | Path], home: Path) -> None:
        self._cloud = cloud
        self._run = run
        self._spec = spec
        self._inputs = inputs
        self._home = home

    def start(self, experiment_id: str) -> Child:
        """Copy code and inputs, and start the command."""
        code = self._home / "code"
        shutil.copytree(self._cloud.locate(self._run.workspace, self._spec["code"]), code)
        values = {**self._given_inputs(), **self._made_outputs()}
        command = ["bash", "-c", fill_in(self._spec["command"], values)]
        log = self._run.files(self._cloud) / "user_logs" / "std_log.txt"
        return self._cloud.processes.start(command, code, log, self._environment(experiment_id))

    def _given_inputs(self) -> dict[str, str]:
        """Return each input as the command sees it; files are copied, since on Azure they cannot be changed."""
        values = {}
        for name, definition in (self._spec.get("inputs") or {}).items():
            value = self._inputs.get(name, definition.get("default"))
            if value is None and not definition.get("optional"):
                raise AzureError(400, "UserError", f"The input {name} of {self._run.display_name} has no value.")
            if isinstance(value, Path):
                copy = self._home / "inputs" / name / (value.name if value.is_file() else "")
                copy.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copy2 if value.is_file() else shutil.copytree)(value, copy)
                values[f"inputs.{name}"] = str(copy).rstrip("/")
            elif value is not None:
                values[f"inputs.{name}"] = str(value)
        return values

    def _made_outputs(self) -> dict[str, str]:
        values = {}
        for name in self._spec.get("outputs") or {}:
            path = f"azureml/{self._run.name}/{name}"
            folder = self._cloud.datastore(self._run.workspace, "workspaceblobstore") / path
            folder.mkdir(parents=True, exist_ok=True)
            self._run.outputs[name] = datastore_uri(self._run.workspace, "workspaceblobstore", f"{path}/")
            values[f"outputs.{name}"] = str(folder)
        return values

    def _environment(self, experiment_id: str) -> dict[str, str]:
        """Return the variables that Azure ML sets for every job, and the address of the double."""
        run, trusted = self._run, str(self._cloud.trusted)
        token, expires = self._cloud.identity.issue(ML_AUDIENCE, run=run.name, oid=run.identity or OBJECT)
        _, _, _, _, group, *_, workspace = run.workspace.split("/")
        return {
            "AZUREML_RUN_ID": run.name,
            "AZUREML_ROOT_RUN_ID": run.parent,
            "AZUREML_EXPERIMENT_ID": experiment_id,
            "AZUREML_ARM_SUBSCRIPTION": SUBSCRIPTION,
            "AZUREML_ARM_RESOURCEGROUP": group,
            "AZUREML_ARM_WORKSPACE_NAME": workspace,
            "AZUREML_ARM_PROJECT_NAME": run.experiment,
            "AZUREML_RUN_TOKEN": token,
            "AZUREML_RUN_TOKEN_EXPIRY": str(expires),
            "MLFLOW_RUN_ID": run.name,
            "MLFLOW_EXPERIMENT_ID": experiment_id,
            "MLFLOW_EXPERIMENT_NAME": run.experiment,
            "MLFLOW_TRACKING_URI": f"azureml://{self._cloud.url.removeprefix('https://')}/mlflow/v1.0{run.workspace}",
            "MLFLOW_TRACKING_TOKEN": token,
            "ARM_CLOUD_METADATA_URL": f"{self._cloud.url}/metadata/endpoints?api-version=2019-05-01",
            "AZUREML_CURRENT_CLOUD": "LoopbackCloud",
            "REQUESTS_CA_BUNDLE": trusted,
            "SSL_CERT_FILE": trusted,
            **(self._spec.get("environment_variables") or {}),
        }


def fill_in(command: str, values: Mapping[str, str]) -> str:
    """Insert values into a component's command; omit a part in $[[...]] if one of its values is missing."""

    def optional(found: re.Match[str]) -> str:
        names = re.findall(r"\$\{\{\s*([\w.]+)\s*\}\}", found[1])
        return found[1] if all(name in values for name in names) else ""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise AzureError(400, "UserError", f"The command refers to {found[1]}, which has no value.")
        return values[found[1]]

    command = re.sub(r"\$\[\[(.*?)\]\]", optional, command, flags=re.S)
    return re.sub(r"\$\{\{\s*([\w.]+)\s*\}\}", value, command)


def search_candidates(space: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return all combinations of a search space of choices."""
    candidates: list[dict[str, str]] = [{}]
    for name, choice in space.items():
        values = choice["values"] if isinstance(choice, Mapping) else choice[1][0]
        candidates = [{**candidate, name: str(value)} for candidate in candidates for value in values]
    return candidates
