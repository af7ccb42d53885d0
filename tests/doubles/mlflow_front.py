"""Azure ML's MLflow API: a real MLflow server behind each workspace, without the routes that Azure ML lacks."""

import json
import re
import sqlite3
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from doubles import errors
from doubles.cloud import Cloud, datastore_uri
from doubles.needs import mlflow_needs
from doubles.processes import free_port, wait_until_ready
from doubles.store import ML, Resource
from doubles.web import Answer, AzureError, Names, Request, Route

ROOT = (
    f"/mlflow/{{api}}/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{ML}/workspaces/{{workspace}}"
)
# Not in Azure ML: aliases, and MLflow 3's logged models, traces and later additions.
LACKING = re.compile(
    r"/api/3\.|/mlflow/(logged-models|traces|scorers|webhooks|assessments|registered-models/alias|runs/outputs|"
    r"prompts|gateway|workspaces|jobs)|/mlflow-artifacts"
)
# Azure ML's answer to a version that is created with tags, in its own form of errors (mlflow/mlflow#8008); those that
# it documents are set on an existing version.
UNTAGGED: Resource = {
    "Error": {"Code": "ValidationError", "Message": "The request is invalid.", "Target": None, "Details": []}
}
START_S = 180
MLFLOW = "from mlflow.cli import cli; cli()"
VERSION_CHANGES = re.compile(r"/mlflow/model-versions/(create|update|set-tag|delete-tag|transition-stage|delete)$")


class Server:
    """The MLflow server of one workspace, started on first use."""

    def __init__(self, cloud: Cloud, workspace: str) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._port = 0
        self.workspace = workspace
        self.database = cloud.folder / "mlflow" / workspace.rsplit("/", 1)[1] / "mlflow.db"

    def ask(self, method: str, target: str, body: bytes | None = None) -> Answer:
        """Send a request with its path and query unchanged."""
        url = f"http://127.0.0.1:{self._ready()}{target}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return Answer(answer.status, answer.read(), {"Content-Type": "application/json"})
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), {"Content-Type": "application/json"})

    def call(self, function: str, method: str = "POST", /, **content: Any) -> dict[str, Any]:
        """Call an MLflow API function; raise its error as an AzureError."""
        answer = self.ask(method, f"/api/2.0/mlflow/{function}", json.dumps(content).encode())
        result: dict[str, Any] = json.loads(answer.body() or b"{}")
        if answer.status != 200:
            status = 404 if result.get("error_code") == "RESOURCE_DOES_NOT_EXIST" else answer.status
            raise AzureError(status, result.get("error_code", "UserError"), result.get("message", str(result)))
        return result

    def _ready(self) -> int:
        with self._lock:
            if not self._port:
                self._port = self._start()
            return self._port

    def _start(self) -> int:
        home = self.database.parent
        home.mkdir(parents=True, exist_ok=True)
        port = free_port()
        artifacts = f"azureml://{self._cloud.url.removeprefix('https://')}/mlflow/v2.0{self.workspace}/experiments"
        options = {
            "--backend-store-uri": f"sqlite:///{self.database}",
            "--default-artifact-root": artifacts,
            "--host": "127.0.0.1",
            "--port": str(port),
            "--workers": "1",
        }
        words = [word for option in options.items() for word in option]
        words = ["server", "--no-serve-artifacts", *words]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        child = self._cloud.processes.start_python(MLFLOW, words, home, home / "server.log", quiet)
        if not wait_until_ready(child, f"http://127.0.0.1:{port}/health", START_S):
            raise AzureError(503, "ServiceUnavailable", f"The MLflow server did not start: {child.output()[-2000:]}")
        return port


class MlflowFront:
    """Refuses what Azure ML lacks, and shows each registered version to Resource Manager."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._servers: dict[str, Server] = {}
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        return [Route("GET POST PATCH PUT DELETE", ROOT + "/{rest...}", self._forward, needs=mlflow_needs)]

    def server(self, workspace: str) -> Server:
        """Return the MLflow server of a workspace."""
        with self._lock:
            return self._servers.setdefault(workspace.lower(), Server(self._cloud, workspace))

    def save(self, workspace: str, name: str, version: str, resource: Resource) -> Resource:
        """Register a version that came through Resource Manager, keeping its number, or update its tags."""
        server = self.server(workspace)
        given = resource["properties"]
        path = f"{workspace}/models/{name}/versions/{version}"
        if self._cloud.store.get(path) is None:
            self._create(server, name, version, given)
        known = {tag["key"] for tag in self._version(server, name, version).get("tags", [])}
        for key in known - set(given.get("tags") or {}):
            server.call("model-versions/delete-tag", "DELETE", name=name, version=version, key=key)
        for key, value in (given.get("tags") or {}).items():
            server.call("model-versions/set-tag", name=name, version=version, key=key, value=value)
        return self.show(workspace, name, version, given)

    def show(self, workspace: str, name: str, version: str, given: Resource | None = None) -> Resource:
        """Update Resource Manager's view of a version; `given` holds the properties it received itself."""
        found = self._version(self.server(workspace), name, version)
        path = f"{workspace}/models/{name}/versions/{version}"
        before = self._cloud.store.get(path) or {"properties": {}}
        properties = {
            "modelType": "mlflow_model",
            "flavors": {"python_function": {"data": {}}},
            "isArchived": False,
            "properties": {},
            **before["properties"],
            **(given or {}),
            "modelUri": (given or before["properties"]).get("modelUri") or model_uri(workspace, found["source"]),
            "description": found.get("description") or (given or {}).get("description"),
            "tags": {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])},
            "stage": found.get("current_stage", "None"),
            "jobName": found.get("run_id") or None,
            "provisioningState": "Succeeded",
        }
        return self._cloud.store.put(path, {"properties": properties})

    def _create(self, server: Server, name: str, version: str, given: Resource) -> None:
        if not version.isdigit():
            raise AzureError(400, "UserError", f"The double supports numeric model versions only, not {version}.")
        try:
            server.call("registered-models/create", name=name)
        except AzureError as refusal:
            if refusal.error["code"] != "RESOURCE_ALREADY_EXISTS":
                raise
        source = mlflow_source(given["modelUri"])
        made = server.call(
            "model-versions/create", name=name, source=source, description=given.get("description") or ""
        )
        _renumber(server.database, name, int(made["model_version"]["version"]), int(version))

    def _version(self, server: Server, name: str, version: str) -> dict[str, Any]:
        found: dict[str, Any] = server.call("model-versions/get", "GET", name=name, version=version)["model_version"]
        return found

    def _forward(self, request: Request, names: Names) -> Answer:
        workspace = self._cloud.workspace(names)
        target = "/" + request.target.partition(f"/workspaces/{names['workspace']}/")[2]
        if LACKING.search(target):
            return Answer(404)
        if target.endswith("/model-versions/create") and request.json().get("tags"):
            return Answer(400, UNTAGGED)
        if "model-versions/search" in target and "tag" in request.query.get("filter", ""):
            message = "Filtering model versions by tag is not supported."
            return Answer(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": message})
        answer = self.server(workspace).ask(request.method, target, request.body or None)
        if answer.status == 200:
            # Azure ML inserts runs/ into the artifact address that MLflow makes.
            pattern = rb"(/experiments/[^/\"]+/)([0-9a-f]{32}/artifacts)"
            answer.content = re.sub(pattern, rb"\1runs/\2", answer.body())
            if VERSION_CHANGES.search(target):
                self._follow(workspace, request, target, answer)
        return answer

    def _follow(self, workspace: str, request: Request, target: str, answer: Answer) -> None:
        given = request.json()
        version = given.get("version") or json.loads(answer.body())["model_version"]["version"]
        if target.endswith("/delete"):
            self._cloud.store.remove(f"{workspace}/models/{given['name']}/versions/{version}")
        else:
            self.show(workspace, given["name"], str(version))


def model_uri(workspace: str, source: str) -> str:
    """Return Resource Manager's address of the files at MLflow's `source`."""
    if found := re.search(r"/runs/([^/]+)/artifacts/(.*)", source):
        return datastore_uri(workspace, "workspaceartifactstore", f"ExperimentRun/dcid.{found[1]}/{found[2]}")
    if found := re.fullmatch(r"azureml://artifacts/(LocalUpload/.*)", source):
        return datastore_uri(workspace, "workspaceblobstore", found[1])
    raise errors.invalid(f"The source {source} is not an artifact of this workspace.", "source")


def mlflow_source(uri: str) -> str:
    """Return MLflow's address of the files at a Resource Manager address."""
    if found := re.search(r"/datastores/workspaceblobstore/paths/(LocalUpload/.*?)/?$", uri):
        return f"azureml://artifacts/{found[1]}"
    if found := re.search(r"/datastores/workspaceartifactstore/paths/ExperimentRun/dcid\.([^/]+)/(.*?)/?$", uri):
        return f"runs:/{found[1]}/{found[2]}"
    raise AzureError(400, "UserError", f"The double can't register a model from {uri}.")


def _renumber(database: Path, name: str, made: int, wanted: int) -> None:
    """Change a version's number: Resource Manager accepts any, MLflow's server only counts up."""
    if made != wanted:
        with sqlite3.connect(database, timeout=30) as connection:
            statement = "UPDATE model_versions SET version = ? WHERE name = ? AND version = ?"
            connection.execute(statement, (wanted, name, made))
