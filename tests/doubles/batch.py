"""Batch endpoints: an invocation is a job that scores the files, in one process."""

import sys
import threading
import traceback
import uuid
from pathlib import Path

from doubles.cloud import LOCATION, WORKSPACE, Cloud, Resources, datastore_uri, owner
from doubles.jobs import Jobs
from doubles.needs import invoke_batch_needs
from doubles.servers import unpack
from doubles.steps import Run
from doubles.store import Resource
from doubles.web import ML_AUDIENCE, Answer, AzureError, Names, Request, Route, no_needs

ENDPOINT = WORKSPACE + "/batchEndpoints/{endpoint}"
DEPLOYMENT = ENDPOINT + "/deployments/{deployment}"
DRIVER = Path(__file__).with_name("batch_driver.py")


class Batch(Resources):
    """Batch endpoints, their deployments, and their jobs."""

    def __init__(self, cloud: Cloud, jobs: Jobs) -> None:
        super().__init__(cloud)
        self._jobs = jobs
        self._endpoints: dict[str, str] = {}

    def routes(self) -> list[Route]:
        return [
            Route("GET", WORKSPACE + "/batchEndpoints", self._list),
            Route("GET", ENDPOINT + "/deployments", self._list),
            Route("GET", ENDPOINT, self._get),
            Route("GET", DEPLOYMENT, self._get),
            Route("PUT PATCH", ENDPOINT, self._put_endpoint),
            Route("PUT PATCH", DEPLOYMENT, self._put_deployment),
            Route("DELETE", ENDPOINT, self._delete),
            Route("DELETE", DEPLOYMENT, self._delete),
            Route("POST", "/batch/{endpoint}/jobs", self._invoke, (ML_AUDIENCE,), no_needs),
        ]

    def _put_endpoint(self, request: Request, names: Names) -> Answer:
        resource = self._wanted(request, names)
        default = ((resource["properties"].get("defaults")) or {}).get("deploymentName")
        if default:
            self._cloud.store.existing(f"{request.path}/deployments/{default}")
        address = f"{self._cloud.url}/batch/{names['endpoint']}/jobs"
        self._endpoints[names["endpoint"].lower()] = request.path
        whole = {
            "location": resource.get("location") or LOCATION,
            "tags": resource.get("tags") or {},
            "identity": {"type": "SystemAssigned"},
            "properties": {"properties": {}, **resource["properties"], "scoringUri": address},
        }
        return self._cloud.operations.put(request, whole, lambda: None)

    def _put_deployment(self, request: Request, names: Names) -> Answer:
        resource = self._wanted(request, names)
        endpoint = owner(request.path)
        self._cloud.store.existing(endpoint)
        properties = resource["properties"]
        for path in (
            (properties.get("model") or {}).get("assetId"),
            properties.get("environmentId"),
            properties["compute"],
        ):
            if path:
                self._cloud.store.existing(path)
        defaults = {
            "environmentVariables": {},
            "properties": {},
            "outputAction": "AppendRow",
            "outputFileName": "predictions.csv",
            "miniBatchSize": 10,
            "maxConcurrencyPerInstance": 1,
            "errorThreshold": -1,
            "loggingLevel": "Info",
        }
        whole = {
            "location": resource.get("location") or LOCATION,
            "tags": resource.get("tags") or {},
            "properties": {**defaults, **properties},
        }
        return self._cloud.operations.put(request, whole, lambda: None, endpoint)

    def _delete(self, request: Request, names: Names) -> Answer:
        self._check_idle(request, names)
        return self._cloud.operations.delete(request, lambda: None, owner(request.path))

    def _invoke(self, request: Request, names: Names) -> Answer:
        """Start a job over the given files."""
        path = self._endpoints.get(names["endpoint"].lower(), "")
        endpoint = self._cloud.store.existing(path)
        default = (endpoint["properties"].get("defaults") or {}).get("deploymentName")
        slot = request.headers.get("azureml-model-deployment") or default
        if not slot:
            raise AzureError(404, "NotFound", "The endpoint has no default deployment.")
        deployment = self._cloud.store.existing(f"{path}/deployments/{slot}")
        given = request.json()["properties"]
        inputs = given.get("InputData") or given.get("inputData") or {}
        source = next((value.get("Uri") or value.get("uri") for value in inputs.values()), None)
        if not source:
            raise AzureError(400, "UserError", "The request has no input data.")
        workspace = path.partition("/batchEndpoints/")[0]
        self._cloud.authorize(request.caller, invoke_batch_needs(workspace))
        return Answer(201, self._submit(workspace, names["endpoint"], deployment, source))

    def _submit(self, workspace: str, endpoint: str, deployment: Resource, source: str) -> Resource:
        found = self._cloud.locate(workspace, source)
        name = f"batchjob-{uuid.uuid4()}"
        job = Run(workspace, name, endpoint, endpoint, kind="azureml.PipelineRun", status="Running")
        step = Run(workspace, uuid.uuid4().hex, "batchscoring", endpoint, name, status="Running")
        self._jobs.runs |= {job.name: job, step.name: step}
        page = f"https://ml.azure.com/runs/{name}?wsid={workspace}"
        properties = {
            "jobType": "Pipeline",
            "displayName": endpoint,
            "experimentName": endpoint,
            "jobs": {},
            "inputs": {},
            "outputs": {},
            "properties": {},
            "tags": {"azureml.batchrun": "true", "azureml.deploymentname": deployment["name"]},
            "services": {"Studio": {"jobServiceType": "Studio", "endpoint": page}},
            "status": "Running",
        }
        kept = self._cloud.store.put(f"{workspace}/jobs/{name}", {"properties": properties})
        threading.Thread(target=self._run, args=(job, step, deployment, found), daemon=True).start()
        return kept

    def _run(self, job: Run, step: Run, deployment: Resource, source: Path) -> None:
        try:
            code = self._score(step, deployment["properties"], source)
            error = "" if code == 0 else f"Execution failed. User process exited with status code {code}."
        except Exception:  # noqa: BLE001 -- any error fails the job, and is shown there
            error = traceback.format_exc()
        for run in (step, job):
            self._jobs.end(run, "Failed" if error else "Completed", error)

    def _score(self, step: Run, properties: Resource, source: Path) -> int:
        home = self._cloud.folder / "jobs" / step.parent
        serving = {**properties, "model": (properties.get("model") or {}).get("assetId")}
        app, environment = unpack(self._cloud, step.workspace, home, serving)
        path = f"azureml/{step.name}/score"
        output = self._cloud.datastore(step.workspace, "workspaceblobstore") / path / properties["outputFileName"]
        output.parent.mkdir(parents=True)
        step.outputs["score"] = datastore_uri(step.workspace, "workspaceblobstore", f"{path}/")
        script = app / properties["codeConfiguration"]["scoringScript"]
        command = [sys.executable, DRIVER, script, source, output, str(properties["miniBatchSize"])]
        log = step.files(self._cloud) / "user_logs" / "std_log.txt"
        return self._cloud.processes.start(command, app, log, environment).wait()
