"""Pipelines: a submitted one runs on this machine, step by step, each as Azure ML would start it."""

import contextlib
import datetime
import json
import re
import threading
import time
import traceback
import uuid
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from doubles import errors
from doubles.cloud import WORKSPACE, Cloud
from doubles.mlflow_front import MlflowFront
from doubles.processes import Child
from doubles.roles import BLOBS, Need
from doubles.steps import Run, Step, search_candidates
from doubles.store import Resource
from doubles.web import ML_AUDIENCE, Answer, AzureError, Names, Request, Route

JOB = WORKSPACE + "/jobs/{job}"
REFERENCE = re.compile(r"\$\{\{parent\.(inputs|outputs|jobs\.([\w-]+)\.outputs)\.([\w-]+)\}\}")


class Jobs:
    """Accepts pipelines, runs them, and holds their runs."""

    def __init__(self, cloud: Cloud, front: MlflowFront) -> None:
        self._cloud = cloud
        self._front = front
        self._running: dict[str, Child] = {}
        self._cancelled: set[str] = set()
        self._reusable: dict[str, Run] = {}
        self.runs: dict[str, Run] = {}

    def routes(self) -> list[Route]:
        return [
            Route("GET", WORKSPACE + "/jobs", self._list),
            Route("GET", JOB, self._get),
            Route("PUT", JOB, self._put),
            Route("POST", JOB + "/cancel", self._cancel),
        ]

    def children(self, name: str) -> list[Run]:
        """Return the steps of a job, in starting order."""
        return [run for run in self.runs.values() if run.parent == name]

    def submit(self, workspace: str, name: str, properties: Resource) -> Resource:
        """Start a pipeline; return the job."""
        properties = {**properties, "experimentName": properties.get("experimentName") or "Default"}
        self._check(properties)
        shown = properties.get("displayName") or name
        run = Run(
            workspace,
            name,
            shown,
            properties["experimentName"],
            kind="azureml.PipelineRun",
            status="Preparing",
            identity=self._identity(properties),
        )
        self.runs[name] = run
        services = {
            "Studio": studio(workspace, name),
            "Tracking": {"jobServiceType": "Tracking", "endpoint": f"azureml://localhost/mlflow{workspace}"},
        }
        path = f"{workspace}/jobs/{name}"
        self._cloud.store.put(path, {"properties": {**properties, "status": run.status, "services": services}})
        threading.Thread(target=self._run, args=(run, properties), daemon=True).start()
        return self._cloud.store.get(path) or {}

    def _identity(self, properties: Resource) -> str:
        """Return the object id of the first identity of a pipeline's compute, which is the default for its jobs.

        Source: MicrosoftDocs/azure-ai-docs, how-to-identity-based-service-authentication.md, "Compute cluster".
        """
        compute = self._cloud.store.get((properties.get("settings") or {}).get("default_compute") or "") or {}
        lent = ((compute.get("identity") or {}).get("userAssignedIdentities") or {}).keys()
        found = self._cloud.access.find(next(iter(lent), ""))
        return found.object if found else ""

    def _check_identity(self, run: Run) -> None:
        """Refuse to start a step whose compute may not pull its image, or mount its inputs and outputs."""
        workspace = self._cloud.store.existing(run.workspace)["properties"]
        image = [Need("Microsoft.ContainerRegistry/registries/pull/read", workspace.get("containerRegistry", ""))]
        container = f"{self._cloud.account_path(run.workspace)}/blobServices/default/containers/azureml-blobstore"
        mount = [Need(f"{BLOBS}/blobs/{verb}", container, data=True) for verb in ("read", "write")]
        if lacking := self._cloud.access.missing(run.identity, [*image, *mount]):
            what = "use the registry" if lacking in image else "mount the storage (AuthorizationPermissionMismatch)"
            raise AzureError(400, "UserError", f"The compute's identity may not {what}: {lacking.action}.")

    def _check_inputs(self, run: Run, inputs: Mapping[str, str | Path]) -> None:
        """Refuse to start a step with an input that is not there; its log says why.

        Source: MicrosoftDocs/azure-ai-docs, how-to-troubleshoot-data-access.md, ScriptExecution.StreamAccess.NotFound.
        """
        for name, value in inputs.items():
            if isinstance(value, Path) and not value.exists():
                log = run.files(self._cloud) / "system_logs" / "data_capability" / "data-capability.log"
                log.parent.mkdir(parents=True)
                message = "The requested stream was not found. Please make sure the request uri is correct."
                code = "ScriptExecution.StreamAccess.NotFound"
                log.write_text(f"Failed to mount INPUT_{name}\nError Code: {code}\nError Message: {message}\n", "utf-8")
                raise AzureError(400, "UserError", message)

    def _list(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        jobs = list(reversed(self._cloud.store.children(request.path)))
        if schedule := request.query.get("scheduleId"):
            jobs = [job for job in jobs if (job["properties"] or {}).get("double.schedule") == schedule]
        return Answer(200, {"value": jobs})

    def _get(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        job = self._cloud.store.get(request.path)
        if job is None and names["job"] in self.runs:  # a step has properties in the run history only
            job = {"id": request.path, "name": names["job"], "properties": None}
        if job is None:
            raise errors.not_found(request.path)
        return Answer(200, job)

    def _put(self, request: Request, names: Names) -> Answer:
        workspace = self._cloud.workspace(names)
        before = self._cloud.store.get(request.path)
        properties = request.json()["properties"]
        if before:  # only a job's description can change
            kept = {field: properties.get(field) for field in ("tags", "description", "displayName", "isArchived")}
            self._cloud.store.change(request.path, **kept)
            return Answer(200, self._cloud.store.get(request.path))
        if properties.get("jobType") != "Pipeline":
            raise AzureError(400, "UserError", f"The double runs pipelines only, not {properties.get('jobType')} jobs.")
        token = request.headers.get("x-azureml-token")
        self._cloud.identity.check(f"Bearer {token}" if token else None, [ML_AUDIENCE])
        return Answer(201, self.submit(workspace, names["job"], properties))

    def _cancel(self, request: Request, names: Names) -> Answer:
        self._cloud.workspace(names)
        run = self.runs.get(names["job"])
        if run is None:
            raise errors.not_found(request.path.removesuffix("/cancel"))
        if run.ended:
            return Answer(200)
        self._cancelled.add(run.name)
        self._change(run, "CancelRequested")
        for name, child in list(self._running.items()):
            if run.name in self._ancestry(name):
                child.stop()
        return Answer(200)

    def _ancestry(self, name: str) -> list[str]:
        """Return a run and its ancestors."""
        names = [name]
        while parent := self.runs[names[-1]].parent:
            names.append(parent)
        return names

    def _is_cancelled(self, run: Run) -> bool:
        return not self._cancelled.isdisjoint(self._ancestry(run.name))

    def _check(self, properties: Resource) -> None:
        """Refuse a pipeline with a reference to something that does not exist, as Azure ML does."""
        wanted = [(properties.get("settings") or {}).get("default_compute")]
        for step in properties["jobs"].values():
            wanted += [_component(step), step.get("computeId")]
        for value in (properties.get("inputs") or {}).values():
            wanted.append(value.get("uri"))
        for path in wanted:
            if path and path.startswith("/subscriptions/") and self._cloud.store.get(path) is None:
                raise errors.not_found(path)
        _in_order(properties["jobs"])

    def _run(self, run: Run, properties: Resource) -> None:
        try:
            self._change(run, "Running")
            self._run_steps(run, properties)
        except Exception as error:  # noqa: BLE001 -- any error fails the job, and is shown there
            self._log(run, traceback.format_exc())
            self.end(run, "Failed", str(error))

    def _run_steps(self, run: Run, properties: Resource) -> None:
        steps: dict[str, Run] = {}
        for name in _in_order(properties["jobs"]):
            step = properties["jobs"][name]
            inputs = self._inputs(run, properties, steps, step)
            key = self._reuse_key(properties, steps, step)
            steps[name] = self._reuse(run, name, key) or self._run_step(run, name, step, inputs)
            if key and steps[name].status == "Completed":
                self._reusable.setdefault(key, steps[name])
            if self._is_cancelled(run):
                self.end(run, "Canceled", "")
                return
            if steps[name].status == "Failed":
                advice = "For more details and logs, please go to the job detail page and check the child jobs."
                self.end(run, "Failed", f"Pipeline has failed child jobs. Failed nodes: /{name}. {advice}")
                return
            for output, given in (step.get("outputs") or {}).items():
                found = REFERENCE.fullmatch(str(given.get("value")))
                if found and found[1] == "outputs":
                    run.outputs[found[3]] = steps[name].outputs[output]
        self.end(run, "Completed", "")

    def _reuse_key(self, properties: Resource, steps: Mapping[str, Run], step: Resource) -> str:
        """Return what makes two runs of a step the same to Azure ML; "" where it always runs again.

        Neither an address' content nor the time counts: code, environment, command and the text of the inputs do. The
        documentation does not say whether files added below an address count, so that the double assumes the worst.
        Source: MicrosoftDocs/azure-ai-docs, how-to-debug-pipeline-reuse-issues.md.
        """
        spec = self._cloud.store.existing(_component(step))["properties"]["componentSpec"]
        forced = (properties.get("settings") or {}).get("force_rerun")
        if forced or spec.get("is_deterministic") is False or step.get("type") == "sweep":
            return ""
        given = self._given(properties, steps, step)
        parts = [spec.get(field) for field in ("code", "environment", "command", "environment_variables")]
        return json.dumps([parts, given, step.get("environment_variables")], sort_keys=True)

    def _reuse(self, run: Run, name: str, key: str) -> Run | None:
        """Return a step with the outputs of an earlier run of the same, if there is one."""
        earlier = self._reusable.get(key)
        if earlier is None:
            return None
        child = replace(earlier, name=uuid.uuid4().hex, display_name=name, parent=run.name, reused=earlier.name)
        self.runs[child.name] = child
        self._save(child)
        self._log(run, f"The step {name} is reused from {earlier.name}")
        return child

    def _given(self, properties: Resource, steps: Mapping[str, Run], step: Resource) -> dict[str, Resource]:
        """Return a step's inputs without references, each as text (`value`) or an address (`uri`)."""
        given = {}
        for name, about in (step.get("inputs") or {}).items():
            found = REFERENCE.fullmatch(str(about.get("value")))
            if found and found[2]:
                given[name] = {"uri": steps[found[2]].outputs[found[3]]}
            elif found and found[1] == "inputs":
                given[name] = (properties.get("inputs") or {}).get(found[3], {})
            else:
                given[name] = about
        return given

    def _inputs(
        self, run: Run, properties: Resource, steps: Mapping[str, Run], step: Resource
    ) -> dict[str, str | Path]:
        """Return the values of a step's inputs: text, or the path of files."""
        values: dict[str, str | Path] = {}
        for name, about in self._given(properties, steps, step).items():
            if about.get("uri"):
                values[name] = self._cloud.locate(run.workspace, about["uri"])
            elif about.get("value") is not None:
                values[name] = str(about["value"])
        return values

    def _run_step(self, run: Run, name: str, step: Resource, inputs: Mapping[str, str | Path]) -> Run:
        component = self._cloud.store.get(_component(step)) or {}
        spec = component["properties"]["componentSpec"]
        self._cloud.check_image(str(spec.get("environment") or "").removeprefix("azureml:"))
        if step.get("environment_variables"):
            spec = {
                **spec,
                "environment_variables": {**spec.get("environment_variables", {}), **step["environment_variables"]},
            }
        self._log(run, f"Submitting 1 runs, first five are: {name}")
        runner = self._sweep if step.get("type") == "sweep" else self._execute
        child = runner(run, name, step, spec, inputs)
        self._log(run, f"Completing processing run id {child.name} ({name}): {child.status}")
        return child

    def _execute(self, run: Run, name: str, _: Resource, spec: Resource, inputs: Mapping[str, str | Path]) -> Run:
        """Run one command and wait for it."""
        server = self._front.server(run.workspace)
        experiment = _experiment(server, run.experiment)
        made = server.call("runs/create", experiment_id=experiment, start_time=_now(), run_name=name)
        child = Run(run.workspace, made["run"]["info"]["run_id"], name, run.experiment, run.name, status="Running")
        child.identity = run.identity
        self.runs[child.name] = child
        self._save(child)
        try:
            self._check_identity(child)
            self._check_inputs(child, inputs)
        except AzureError as error:
            self.end(child, "Failed", str(error))
            return child
        home = self._cloud.folder / "jobs" / run.name / f"{name}-{child.name[:8]}"
        process = Step(self._cloud, child, spec, inputs, home).start(experiment)
        self._running[child.name] = process
        code = process.wait()
        del self._running[child.name]
        server.call("runs/update", run_id=child.name, status="FAILED" if code else "FINISHED", end_time=_now())
        if self._is_cancelled(child):
            self.end(child, "Canceled", "")
        elif code:
            where = "Please check log file 'user_logs/std_log.txt' for error details."
            self.end(child, "Failed", f"Execution failed. User process 'bash' exited with status code {code}. {where}")
        else:
            self.end(child, "Completed", "")
        return child

    def _sweep(self, run: Run, name: str, step: Resource, spec: Resource, inputs: Mapping[str, str | Path]) -> Run:
        """Run every trial of a search; its outputs are those of the best trial."""
        objective = step["objective"]
        sweep = Run(run.workspace, uuid.uuid4().hex, name, run.experiment, run.name, "azureml.HyperDriveRun", "Running")
        sweep.identity = run.identity
        self.runs[sweep.name] = sweep
        most = int((step.get("limits") or {}).get("max_total_trials") or 1000)
        scores: dict[str, float] = {}
        for number, candidate in enumerate(search_candidates(step["search_space"])[:most]):
            trial = self._execute(sweep, f"{name}_{number}", step, spec, {**inputs, **candidate})
            if self._is_cancelled(sweep):
                break
            if trial.status == "Completed":
                scores[trial.name] = self._metric(trial, objective["primary_metric"])
        if not scores:
            self.end(sweep, "Failed", "All trials failed.")
            return sweep
        choose = max if objective["goal"].lower() == "maximize" else min
        sweep.best = choose(scores, key=lambda trial: scores[trial])
        sweep.outputs = dict(self.runs[sweep.best].outputs)
        self.end(sweep, "Completed", "")
        return sweep

    def _metric(self, run: Run, name: str) -> float:
        found = self._front.server(run.workspace).call("runs/get", "GET", run_id=run.name)
        metrics = {m["key"]: m["value"] for m in found["run"]["data"].get("metrics", [])}
        if name not in metrics:
            raise AzureError(400, "UserError", f"The trial {run.name} did not log the metric {name}.")
        return float(metrics[name])

    def end(self, run: Run, status: str, error: str) -> None:
        run.error = error
        self._change(run, status)

    def _change(self, run: Run, status: str) -> None:
        run.status = status
        self._cloud.store.change(f"{run.workspace}/jobs/{run.name}", status=status)
        self._save(run)

    def _save(self, run: Run) -> None:
        file = self._cloud.folder / "jobs" / f"{run.name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(run), indent=1), encoding="utf-8")

    def _log(self, run: Run, text: str) -> None:
        """Add a line to a pipeline's log."""
        log = run.files(self._cloud) / "logs" / "azureml" / "executionlogs.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"[{now}] {text}\n")


def studio(workspace: str, name: str) -> Resource:
    """Return a job's page as a service of the job."""
    return {"jobServiceType": "Studio", "endpoint": f"https://ml.azure.com/runs/{name}?wsid={workspace}"}


def _component(step: Resource) -> str:
    """Return the path of a step's component."""
    trial = step.get("trial")
    found = step.get("componentId") or (trial.get("componentId") if isinstance(trial, Mapping) else trial) or ""
    return str(found).removeprefix("azureml:")


def _in_order(steps: Mapping[str, Resource]) -> list[str]:
    """Sort the steps so that each follows those whose outputs it reads."""
    waits = {name: {found[1] for found in _references(step)} for name, step in steps.items()}
    order: list[str] = []
    while len(order) < len(steps):
        ready = [name for name in steps if name not in order and waits[name] <= set(order)]
        if not ready:
            left = ", ".join(name for name in steps if name not in order)
            raise AzureError(
                400, "UserError", f"These steps depend on each other, or on a step that does not exist: {left}"
            )
        order += ready[:1]
    return order


def _references(step: Resource) -> list[re.Match[str]]:
    text = json.dumps(step.get("inputs") or {})
    return list(re.finditer(r"\$\{\{parent\.jobs\.([\w-]+)\.outputs\.", text))


def _experiment(server: Any, name: str) -> str:
    """Return the id of an experiment, created if missing."""
    with contextlib.suppress(AzureError):
        return str(server.call("experiments/create", name=name)["experiment_id"])
    found = server.call("experiments/get-by-name", "GET", experiment_name=name)
    return str(found["experiment"]["experiment_id"])


def _now() -> int:
    return int(time.time() * 1000)
