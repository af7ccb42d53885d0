"""Batch endpoints: an invocation is a job that runs the pipeline component of a deployment."""

import uuid

from doubles.cloud import LOCATION, WORKSPACE, Cloud, Resources, owner
from doubles.jobs import Jobs, studio
from doubles.needs import invoke_batch_needs
from doubles.steps import Run
from doubles.store import Resource
from doubles.web import ML_AUDIENCE, Answer, AzureError, Names, Request, Route, no_needs

ENDPOINT = WORKSPACE + "/batchEndpoints/{endpoint}"
DEPLOYMENT = ENDPOINT + "/deployments/{deployment}"

# Source: azure-ai-ml 1.35.2, operations/_job_operations.py, download: how it tells such jobs from parallel runs.
BATCH_TAGS = {"azureml.batchrun": "true", "azureml.jobtype": "azureml.pipelinejob"}


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
        properties, workspace = resource["properties"], self._cloud.workspace(names)
        if pipeline := properties.get("deploymentConfiguration"):
            wanted = [pipeline["componentId"]["assetId"], cluster(workspace, pipeline)]
        else:
            wanted = [
                (properties.get("model") or {}).get("assetId"),
                properties["environmentId"],
                properties["compute"],
            ]
        for path in wanted:
            self._cloud.store.existing(path)
        whole = {
            "location": resource.get("location") or LOCATION,
            "tags": resource.get("tags") or {},
            "properties": {"properties": {}, **properties},
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
        inputs = given.get("inputData") or {}
        workspace = path.partition("/batchEndpoints/")[0]
        self._cloud.authorize(request.caller, invoke_batch_needs(workspace))
        pipeline = deployment["properties"].get("deploymentConfiguration")
        if not pipeline:
            return Answer(201, self._fail(workspace, names["endpoint"], deployment["properties"]))
        spec = self._cloud.store.existing(pipeline["componentId"]["assetId"])["properties"]["componentSpec"]
        properties = {
            "jobType": "Pipeline",
            "displayName": names["endpoint"],
            "experimentName": names["endpoint"],
            "jobs": spec["jobs"],
            "inputs": _inputs(spec, inputs),
            "outputs": {name: {"jobOutputType": about["type"]} for name, about in (spec.get("outputs") or {}).items()},
            "settings": {**pipeline["settings"], "default_compute": cluster(workspace, pipeline)},
            "properties": {},
            "tags": {**BATCH_TAGS, "azureml.deploymentname": deployment["name"]},
        }
        return Answer(201, self._jobs.submit(workspace, f"batchjob-{uuid.uuid4()}", properties))

    def _fail(self, workspace: str, endpoint: str, properties: Resource) -> Resource:
        """Make a job that has failed: a deployment of a model is a parallel run, which needs azureml-core.

        Source: MicrosoftDocs/azure-ai-docs, how-to-troubleshoot-batch-endpoints.md, "No module named azureml".
        """
        build = self._cloud.store.existing(properties["environmentId"])["properties"].get("build")
        files = self._cloud.locate(workspace, build["contextUri"]).rglob("requirements*.txt") if build else ()
        ready = any("azureml-core" in file.read_text("utf-8", "replace") for file in files)
        error = "The double has no parallel runs." if ready else "ModuleNotFoundError: No module named 'azureml'"
        run = Run(workspace, f"batchjob-{uuid.uuid4()}", endpoint, endpoint, kind="azureml.PipelineRun")
        self._jobs.runs[run.name] = run
        kept = {
            "jobType": "Pipeline",
            "experimentName": endpoint,
            "jobs": {},
            "properties": {},
            "services": {"Studio": studio(workspace, run.name)},
        }
        self._cloud.store.put(f"{workspace}/jobs/{run.name}", {"properties": {**kept, "status": "Running"}})
        self._jobs.end(run, "Failed", error)
        return self._cloud.store.existing(f"{workspace}/jobs/{run.name}")


def cluster(workspace: str, pipeline: Resource) -> str:
    """Return the path of the cluster that a deployment's settings name.

    Source: Azure/azureml-examples, cli/endpoints/batch/deploy-pipelines/*/deployment.yml: a name without a prefix.
    """
    return f"{workspace}/computes/{pipeline['settings']['default_compute']}"


def _inputs(spec: Resource, given: Resource) -> Resource:
    """Return the inputs of a job as a pipeline has them; all that the component declares must be given."""
    declared = spec.get("inputs") or {}
    values = {
        name: {**value, "jobInputType": "literal" if "value" in value else declared.get(name, {}).get("type")}
        for name, value in given.items()
    }
    if unknown := values.keys() - declared.keys():
        raise AzureError(400, "UserError", f"The component has no input {', '.join(sorted(unknown))}.")
    for name, about in declared.items():
        if name not in values and not about.get("optional") and "default" not in about:
            raise AzureError(400, "UserError", f"The request has no input {name}.")
    return values
