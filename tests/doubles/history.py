"""The run history API behind `jobs.stream`, `jobs.list` of a job's steps, and `jobs.download`."""

import datetime

from doubles import errors
from doubles.artifacts import SCOPE
from doubles.cloud import DATASTORES, Cloud
from doubles.jobs import Jobs
from doubles.needs import history_needs
from doubles.steps import Run
from doubles.store import Resource
from doubles.web import Answer, Names, Request, Route

HISTORY = f"/history/v1.0{SCOPE}"


class History:
    """Runs, their details and log files, and the addresses of their outputs."""

    def __init__(self, cloud: Cloud, jobs: Jobs) -> None:
        self._cloud = cloud
        self._jobs = jobs

    def routes(self) -> list[Route]:
        return [
            Route("GET", HISTORY + "/runs/{run}", self._get, needs=history_needs),
            Route("GET", HISTORY + "/runs/{run}/details", self._details, needs=history_needs),
            Route("GET", HISTORY + "/runs/{run}/children", self._children, needs=history_needs),
            Route("POST", HISTORY + "/rundata", self._data, needs=history_needs),
            Route("POST", f"/data/v1.0{SCOPE}/dataversion/batchGetResolvedUris", self._addresses, needs=history_needs),
        ]

    def _find(self, request: Request, names: Names, name: str) -> Run:
        self._cloud.workspace(names)
        run = self._jobs.runs.get(name)
        if run is None:
            raise errors.not_found(request.path)
        return run

    def _get(self, request: Request, names: Names) -> Answer:
        return Answer(200, self._describe(self._find(request, names, names["run"])))

    def _details(self, request: Request, names: Names) -> Answer:
        run = self._find(request, names, names["run"])
        home = run.files(self._cloud)
        paths = [file.relative_to(home).as_posix() for file in sorted(home.rglob("*logs*/**/*.txt"))]
        holder, container = self._cloud.account(run.workspace), DATASTORES["workspaceartifactstore"]
        logs = {
            path: self._cloud.storage.signed_url(holder, container, f"ExperimentRun/dcid.{run.name}/{path}")
            for path in paths
        }
        return Answer(200, {**self._describe(run), "logFiles": logs, "warnings": []})

    def _children(self, request: Request, names: Names) -> Answer:
        run = self._find(request, names, names["run"])
        return Answer(200, {"value": [self._describe(child) for child in self._jobs.children(run.name)]})

    def _data(self, request: Request, names: Names) -> Answer:
        run = self._find(request, names, request.json()["runId"])
        outputs = {name: {"assetId": f"{run.name}:{name}", "type": "uri_folder"} for name in run.outputs}
        return Answer(200, {"runMetadata": {**self._describe(run), "outputs": outputs}})

    def _addresses(self, request: Request, names: Names) -> Answer:
        values: dict[str, Resource] = {}
        for identity in request.json()["values"]:
            name, _, output = identity.partition(":")
            uri = self._find(request, names, name).outputs[output]
            values[identity] = {"uri": uri, "type": "UriFolder"}
        return Answer(200, {"values": values})

    def _describe(self, run: Run) -> Resource:
        properties = {"azureml.runsource": run.kind, "best_child_run_id": run.best} if run.best else {}
        if run.reused:
            properties |= {"azureml.isreused": "true", "azureml.reusedrunid": run.reused}
        error = {"error": {"code": "UserError", "message": run.error}} if run.error else None
        return {
            "runId": run.name,
            "parentRunId": run.parent or None,
            "rootRunId": run.parent or run.name,
            "displayName": run.display_name,
            "experimentId": run.experiment,
            "status": run.status,
            "error": error,
            "runType": run.kind,
            "properties": properties,
            "tags": {},
            "createdUtc": datetime.datetime.now(datetime.UTC).isoformat(),
        }
