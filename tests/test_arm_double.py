"""Test that the loopback Azure answers the real clients as Azure does, with and without faults."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from doubles import SUBSCRIPTION
from doubles.client import Double, running_double
from doubles.session import RemoteError, Session, running_session

SCRIPT = """
import json, os
def init():
    if os.environ["WHO"] == "broken":
        raise ValueError("init failed on purpose")
    [model] = os.listdir(os.environ["AZUREML_MODEL_DIR"])
    print("model:", model)
def run(data):
    if json.loads(data).get("bad"):
        raise ValueError("a bad row")
    return {"who": os.environ["WHO"]}
"""
CLIENTS = """
import json, logging, os, time, urllib.error, urllib.request
from azure.ai.ml import Input, MLClient, load_component, load_job
from azure.ai.ml.entities import *
from azure.identity import DefaultAzureCredential

logging.disable(logging.CRITICAL)

def client(group, workspace):
    subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
    return MLClient(credential, subscription, group, workspace, enable_telemetry=False, show_progress=False)

def score(url, token, body={}, slot=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    headers |= {"azureml-model-deployment": slot} if slot else {}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return [answer.status, json.load(answer), dict(answer.headers)]
    except urllib.error.HTTPError as error:
        return [error.code, json.load(error), dict(error.headers)]

def entra(audience="https://ml.azure.com"):
    return credential.get_token(audience + "/.default").token

def endpoint(name, **settings):
    made = ManagedOnlineEndpoint(name=name, auth_mode="aad_token", **settings)
    return ml.online_endpoints.begin_create_or_update(made)

def deployment(endpoint, slot, who="somebody", **settings):
    made = ManagedOnlineDeployment(
        name=slot, endpoint_name=endpoint, model=model.id, environment=image.id, instance_type="Standard_DS3_v2",
        code_configuration=CodeConfiguration(code="code", scoring_script="score.py"), instance_count=1,
        environment_variables={"WHO": who}, **settings)
    return ml.online_deployments.begin_create_or_update(made)

credential = DefaultAzureCredential()
ml = client("rg-one", "mlw-one")
model = ml.models.create_or_update(Model(name="classifier", version="3", path="model", type="mlflow_model"))
image = ml.environments.create_or_update(Environment(name="image", version="1", image="python:3.11"))
"""


@pytest.fixture(scope="module")
def azure(project_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    """Run a double with two workspaces, a container registry and a Kubernetes cluster."""
    folder = tmp_path_factory.mktemp("azure") / "double"
    resources = [
        "rg-one/Microsoft.ContainerRegistry/registries/crone",
        "rg-one/Microsoft.ContainerRegistry/registries/crtwo",
        "rg-one/Microsoft.ContainerService/managedClusters/aks-one",
    ]
    with running_double(project_python, folder, ["rg-one/mlw-one", "rg-two/mlw-two"], resources) as double:
        yield double


@pytest.fixture(scope="module")
def sdk(azure: Double, project_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Point the real clients to the double, and register a model and an image."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "code").mkdir()
    (folder / "code" / "score.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "model").mkdir()
    (folder / "model" / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
    with running_session(project_python, azure.environment, folder) as session:
        session(CLIENTS)
        session("here = os.getcwd()")
        yield session


@pytest.fixture(autouse=True)
def no_faults(azure: Double) -> Iterator[None]:
    """Remove the faults that a test did not use up."""
    yield
    azure.clear_faults()


def test_a_workspace_is_found_in_its_group_only(sdk: Session) -> None:
    assert sdk("ml.workspaces.get().location") == "westeurope"
    with pytest.raises(RemoteError, match=r"ResourceNotFound.*workspaces/other' under resource group 'rg-one'"):
        sdk("client('rg-one', 'other').workspaces.get()")
    with pytest.raises(RemoteError, match=r"ResourceGroupNotFound.*Resource group 'rg-none' could not be found"):
        sdk("client('rg-none', 'mlw-one').workspaces.get()")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("''", "AuthenticationFailed"),
        ("'not.a.token'", "InvalidAuthenticationToken"),
        ("entra('https://vault.azure.net')", "InvalidAuthenticationTokenAudience"),
    ],
)
def test_only_a_token_for_the_right_audience_is_accepted(sdk: Session, token: str, code: str) -> None:
    status, body, headers = sdk(f"score(ml._base_url + model.id, {token}, body=None)")
    assert (status, body["error"]["code"]) == (401, code)
    assert headers["WWW-Authenticate"].startswith("Bearer ")


# Clients call these before they have a token.
OPEN = {
    "/acrtasks/logs/{run}",
    "/acrtasks/sources/{name}",
    "/discovery/workspaces/{workspace}",
    "/github/token",
    "/metadata/endpoints",
    "/pipelines/oidctoken",
    "/{tenant}/oauth2/v2.0/token",
}


def test_every_route_refuses_a_request_without_a_token(sdk: Session, azure: Double) -> None:
    sdk("endpoint('guarded').result()")
    answers = {(method, pattern): status_without_token(azure, method, pattern) for method, pattern, _ in azure.routes()}
    tokens = {(method, pattern) for method, pattern, guarded in azure.routes() if guarded}
    signatures = {(method, pattern) for method, pattern in answers if pattern.startswith("/storage/")}
    assert len(tokens) > 60
    assert {answers[route] for route in tokens} == {(401, "Bearer")}
    assert {answers[route][0] for route in signatures} == {401}
    others = {pattern for _, pattern in answers.keys() - tokens - signatures}
    assert {pattern for pattern in others if not pattern.startswith("/_double/")} == OPEN


def status_without_token(azure: Double, method: str, pattern: str) -> tuple[int, str]:
    """Call a route without a token; return the status and the scheme of the challenge."""
    if pattern.startswith("/_double/"):
        return 0, ""
    path = re.sub(r"\{(\w+)[.]*\}", lambda found: "guarded" if found[1] == "endpoint" else "some", pattern)
    request = Request(azure.url + path, b"{}" if method in ("PUT", "POST", "PATCH") else None, method=method)
    try:
        with urlopen(request, context=ssl.create_default_context(cafile=azure.ca)) as answer:
            return answer.status, ""
    except HTTPError as error:
        return error.code, error.headers.get("WWW-Authenticate", "").partition(" ")[0]


def test_blue_and_green_share_requests_by_weight(sdk: Session, azure: Double) -> None:
    sdk("made = endpoint('shared', tags={'kept': 'yes'}).result()")
    sdk("[deployment('shared', slot, who=slot).result() for slot in ('blue', 'green')]")
    sdk("made.traffic = {'blue': 90, 'green': 10}; made = ml.online_endpoints.begin_create_or_update(made).result()")
    assert sdk("[made.traffic, made.tags]") == [{"blue": 90, "green": 10}, {"kept": "yes"}]

    answers = sdk("token = entra(); [score(made.scoring_uri, token)[1]['who'] for _ in range(20)]")
    assert Counter(answers) == {"blue": 18, "green": 2}
    status, answer, headers = sdk("score(made.scoring_uri, token, slot='green')")
    assert (status, answer, headers["azureml-model-deployment"]) == (200, {"who": "green"}, "green")
    status, _, headers = sdk("score(made.scoring_uri, token, {'bad': True}, slot='blue')")
    assert (status, headers["ms-azureml-model-error-statuscode"]) == (424, "500")
    assert sdk("score(made.scoring_uri, '')[0], score(made.scoring_uri, entra(ml._base_url))[0]") == [401, 401]
    assert "a bad row" in sdk("ml.online_deployments.get_logs('blue', 'shared', 100)")

    changes = [call["path"].partition("/onlineEndpoints/")[2] for call in azure.calls() if call["method"] == "PUT"]
    wanted = ["shared", "shared/deployments/blue", "shared/deployments/green", "shared"]
    assert [path for path in changes if path.startswith("shared")] == wanted


def test_only_a_deployment_without_traffic_can_be_deleted(sdk: Session) -> None:
    sdk("made = endpoint('leaving').result(); deployment('leaving', 'blue').result()")
    sdk("made.traffic = {'blue': 100}; ml.online_endpoints.begin_create_or_update(made).result()")
    with pytest.raises(RemoteError, match="live traffic"):
        sdk("ml.online_deployments.begin_delete('blue', 'leaving').result()")
    with pytest.raises(RemoteError, match="do not exist in endpoint leaving: green"):
        sdk("made.traffic = {'green': 100}; ml.online_endpoints.begin_create_or_update(made).result()")
    with pytest.raises(RemoteError, match="sum to 90"):
        sdk("made.traffic = {'blue': 90}; ml.online_endpoints.begin_create_or_update(made).result()")
    sdk("made.traffic = {}; ml.online_endpoints.begin_create_or_update(made).result()")
    sdk("ml.online_deployments.begin_delete('blue', 'leaving').result()")
    assert sdk("[d.name for d in ml.online_deployments.list('leaving')]") == []
    assert sdk("score(made.scoring_uri, entra())[0]") == 404
    sdk("ml.online_endpoints.begin_delete('leaving').result()")
    with pytest.raises(RemoteError, match="ResourceNotFound"):
        sdk("ml.online_endpoints.get('leaving')")


def test_mirrored_requests_are_not_answered(sdk: Session, azure: Double) -> None:
    sdk("made = endpoint('mirrored').result()")
    sdk("[deployment('mirrored', slot, who=slot).result() for slot in ('blue', 'green')]")
    sdk("made.traffic, made.mirror_traffic = {'blue': 100}, {'green': 50}")
    sdk("made = ml.online_endpoints.begin_create_or_update(made).result()")
    answers = sdk("token = entra(); [score(made.scoring_uri, token)[1]['who'] for _ in range(10)]")
    assert answers == ["blue"] * 10
    assert sum(call["method"] == "MIRROR" and "mirrored" in call["path"] for call in azure.calls()) == 5


def test_kubernetes_endpoints_accept_only_their_own_token(sdk: Session) -> None:
    sdk("cluster = '/subscriptions/' + ml.subscription_id + '/resourceGroups/rg-one/providers/'")
    sdk("cluster += 'Microsoft.ContainerService/managedClusters/aks-'")
    attach = "ml.compute.begin_create_or_update(KubernetesCompute(name='aks', resource_id=cluster + '{}')).result()"
    with pytest.raises(RemoteError, match="managedClusters/aks-none' under resource group 'rg-one' was not found"):
        sdk(attach.format("none"))
    sdk(attach.format("one"))
    sdk("made = KubernetesOnlineEndpoint(name='on-aks', compute='aks', auth_mode='aml_token')")
    sdk("made = ml.online_endpoints.begin_create_or_update(made).result()")
    sdk("""
        blue = KubernetesOnlineDeployment(
            name="blue", endpoint_name="on-aks", model=model.id, environment=image.id,
            code_configuration=CodeConfiguration(code="code", scoring_script="score.py"), instance_count=1,
            environment_variables={"WHO": "aks"})
        ml.online_deployments.begin_create_or_update(blue).result()
        made.traffic = {"blue": 100}
        made = ml.online_endpoints.begin_create_or_update(made).result()
        own = ml.online_endpoints.get_keys("on-aks").access_token
    """)
    assert sdk("score(made.scoring_uri, own)[:2]") == [200, {"who": "aks"}]
    assert sdk("score(made.scoring_uri, entra())[0]") == 401
    with pytest.raises(RemoteError, match="not supported for Kubernetes"):
        sdk("made.mirror_traffic = {'blue': 10}; ml.online_endpoints.begin_create_or_update(made).result()")


@pytest.fixture(scope="module")
def registry(sdk: Session) -> Session:
    """Point MLflow to the second workspace, and register a run there as version 1."""
    sdk("""
        os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
        import mlflow
        mlflow.set_tracking_uri(client("rg-two", "mlw-two").workspaces.get().mlflow_tracking_uri)
        mlflow.set_experiment("trials")
        with mlflow.start_run() as run:
            mlflow.log_metric("score", 0.5)
            mlflow.log_artifacts(os.path.join(here, "model"), "model")
        registry = mlflow.MlflowClient()
        registry.create_registered_model("made-there")
        source = registry.get_run(run.info.run_id).info.artifact_uri + "/model"
        version = registry.create_model_version("made-there", source, run.info.run_id)
        registry.set_model_version_tag("made-there", version.version, "a", "1")
        other = client("rg-two", "mlw-two")
    """)
    return sdk


def test_a_model_is_the_same_for_mlflow_and_for_resource_manager(registry: Session) -> None:
    sdk = registry
    seen = sdk("seen = other.models.get('made-there', '1'); [seen.tags, seen.job_name == run.info.run_id, seen.type]")
    assert seen == [{"a": "1"}, True, "mlflow_model"]
    sdk("other.models.download('made-there', '1', download_path='fetched')")
    assert sdk("open(os.path.join('fetched', 'made-there', 'model', 'MLmodel')).read()") == "flavors: {}\n"

    sdk("seen.tags['b'] = '2'; other.models.create_or_update(seen)")
    assert sdk("registry.get_model_version('made-there', '1').tags") == {"a": "1", "b": "2"}
    sdk("other.models.create_or_update(Model(name='made-here', version='7', path='model', type='mlflow_model'))")
    assert sdk("[v.version for v in registry.search_model_versions(\"name='made-here'\")]") == ["7"]
    sdk("fetched = mlflow.artifacts.download_artifacts('models:/made-here/7', dst_path='again')")
    assert sdk("sorted(os.listdir(fetched))") == ["MLmodel", "registered_model_meta"]
    with pytest.raises(RemoteError, match="immutable"):
        sdk("other.models.create_or_update(Model(name='made-here', version='7', path='code', type='custom_model'))")


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("registry.search_logged_models(['0'])", "logged-models/search failed with error code 404"),
        ("registry.create_model_version('made-there', source, tags={'a': '1'})", "The request is invalid"),
        ("registry.set_registered_model_alias('made-there', 'champion', '1')", "alias failed with error code 404"),
        ("registry.search_model_versions(\"tags.a = '1'\")", "by tag is not supported"),
        ("registry.log_artifacts(run.info.run_id, os.path.join(here, 'model'), 'model')", "MLmodel already exists"),
        ("registry.get_model_version('made-there', '8')", "RESOURCE_DOES_NOT_EXIST"),
    ],
)
def test_mlflow_calls_that_azure_lacks_fail(registry: Session, call: str, reason: str) -> None:
    with pytest.raises(RemoteError, match=reason):
        registry(call)


PIPELINE = """
type: pipeline
experiment_name: trials
inputs:
  rows: {type: uri_file, path: rows.csv}
  greeting: hello
outputs:
  results: {type: uri_folder}
settings: {default_compute: azureml:cpu-cluster}
jobs:
  second:
    type: command
    component: second.yml
    inputs: {earlier: "${{parent.jobs.first.outputs.out}}"}
    outputs: {out: "${{parent.outputs.results}}"}
  first:
    type: command
    component: first.yml
    inputs: {rows: "${{parent.inputs.rows}}", greeting: "${{parent.inputs.greeting}}"}
"""
FIRST = """
type: command
name: first
inputs:
  rows: {type: uri_file}
  greeting: {type: string}
  unsaid: {type: string, optional: true}
outputs: {out: {type: uri_folder}}
code: step
environment: azureml:image:1
command: python step.py ${{inputs.rows}} ${{outputs.out}} ${{inputs.greeting}} $[[${{inputs.unsaid}}]]
"""
SECOND = """
type: command
name: second
inputs: {earlier: {type: uri_folder}}
outputs: {out: {type: uri_folder}}
code: step
environment: azureml:image:1
command: cat ${{inputs.earlier}}/said.txt > ${{outputs.out}}/heard.txt && echo heard && [ ! -f fail ]
"""
STEP = """
import sys, mlflow
rows, out, *words = sys.argv[1:]
with mlflow.start_run() as run:
    mlflow.log_metric("score", 0.25)
open(f"{out}/said.txt", "w").write(" ".join([*words, open(rows).read(), run.info.run_id]))
"""


@pytest.fixture(scope="module")
def cluster(sdk: Session) -> None:
    """Create the cluster for jobs."""
    sdk("ml.compute.begin_create_or_update(AmlCompute(name='cpu-cluster', size='Standard_DS3_v2')).result()")


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """Write the files of a pipeline of two steps."""
    (tmp_path / "step").mkdir()
    files = {"job.yml": PIPELINE, "first.yml": FIRST, "second.yml": SECOND, "step/step.py": STEP, "rows.csv": "1,2"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / "job.yml"


@pytest.mark.usefixtures("cluster")
def test_a_pipeline_runs(sdk: Session, pipeline: Path) -> None:
    sdk("job = ml.jobs.create_or_update(load_job(file)); ml.jobs.stream(job.name)", file=str(pipeline))
    assert sdk("ml.jobs.get(job.name).status") == "Completed"
    steps = sdk("[[step.display_name, step.status, step.name] for step in ml.jobs.list(parent_job_name=job.name)]")
    assert [step[:2] for step in steps] == [["first", "Completed"], ["second", "Completed"]]

    sdk("ml.jobs.download(job.name, download_path='results', output_name='results')")
    heard = sdk("open(os.path.join('results', 'named-outputs', 'results', 'heard.txt')).read()")
    assert heard == f"hello 1,2 {steps[0][2]}"
    sdk("ml.jobs.download(name, download_path='second')", name=steps[1][2])
    assert sdk("open(os.path.join('second', 'artifacts', 'user_logs', 'std_log.txt')).read()") == "heard\n"
    sdk("mlflow.set_tracking_uri(ml.workspaces.get().mlflow_tracking_uri)")
    run = sdk("run = mlflow.get_run(name); [run.info.status, run.data.metrics]", name=steps[0][2])
    assert run == ["FINISHED", {"score": 0.25}]


@pytest.mark.usefixtures("cluster")
def test_a_step_that_fails_fails_the_pipeline(sdk: Session, pipeline: Path) -> None:
    (pipeline.parent / "step" / "fail").touch()
    sdk("job = ml.jobs.create_or_update(load_job(file))", file=str(pipeline))
    with pytest.raises(RemoteError, match=r"Pipeline has failed child jobs. Failed nodes: /second"):
        sdk("ml.jobs.stream(job.name)")
    assert sdk("ml.jobs.get(job.name).status") == "Failed"


@pytest.mark.usefixtures("cluster")
def test_a_schedule_runs_when_it_is_triggered(sdk: Session, pipeline: Path) -> None:
    sdk(
        """
        cron = CronTrigger(expression="0 4 * * 1")
        schedule = JobSchedule(name="weekly", trigger=cron, create_job=load_job(file))
        """,
        file=str(pipeline),
    )
    assert sdk("ml.schedules.begin_create_or_update(schedule).result().is_enabled") is True
    sdk("started = ml.schedules.trigger('weekly').job_name; ml.jobs.stream(started)")
    assert sdk("ml.jobs.get(started).status") == "Completed"


SHOUT = """
type: pipeline
name: shout
inputs: {rows: {type: uri_folder}}
outputs: {scores: {type: uri_folder}}
jobs:
  score:
    type: command
    component: {type: command, name: score, inputs: {rows: {type: uri_folder}, model: {type: mlflow_model}},
      outputs: {scores: {type: uri_folder}}, code: step, environment: "azureml:image:1",
      command: "cat ${{inputs.rows}}/*.csv ${{inputs.model}}/MLmodel | tr a-z A-Z > ${{outputs.scores}}/all.txt"}
    inputs: {rows: "${{parent.inputs.rows}}", model: {type: mlflow_model, path: 'azureml:classifier:3'}}
    outputs: {scores: "${{parent.outputs.scores}}"}
"""
DEPLOYED = """
made = ml.batch_endpoints.begin_create_or_update(BatchEndpoint(name=name)).result()
ml.batch_deployments.begin_create_or_update(scoring).result()
made.defaults = {"deployment_name": "default"}
ml.batch_endpoints.begin_create_or_update(made).result()
job = ml.batch_endpoints.invoke(name, inputs={"rows": Input(type="uri_folder", path=folder + "/rows")})
ml.jobs.stream(job.name)
"""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Write a folder of two files."""
    (tmp_path / "rows").mkdir()
    for name in ("one", "two"):
        (tmp_path / "rows" / f"{name}.csv").write_text(f"{name}\n", encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("cluster")
def test_a_batch_endpoint_runs_the_component_of_its_deployment(sdk: Session, rows: Path) -> None:
    (rows / "step").mkdir()
    (rows / "step" / "none.py").touch()
    (rows / "shout.yml").write_text(SHOUT, encoding="utf-8")
    sdk(
        """
        component = ml.components.create_or_update(load_component(folder + "/shout.yml"))
        scoring = PipelineComponentBatchDeployment(
            name="default", endpoint_name=name, component=component.id, settings={"default_compute": "cpu-cluster"})
        """,
        folder=str(rows),
        name="shouting",
    )
    sdk(DEPLOYED, folder=str(rows), name="shouting")
    sdk("ml.jobs.download(job.name, download_path=folder + '/out', output_name='scores')", folder=str(rows))
    said = (rows / "out" / "named-outputs" / "scores" / "all.txt").read_text(encoding="utf-8")
    assert said == "ONE\nTWO\nFLAVORS: {}\n"


@pytest.mark.usefixtures("cluster")
def test_a_batch_deployment_of_a_model_needs_azureml_core(sdk: Session, rows: Path) -> None:
    (rows / "code").mkdir()
    (rows / "code" / "batch.py").write_text("def init(): pass\ndef run(files): return files\n", encoding="utf-8")
    sdk(
        """
        scoring = ModelBatchDeployment(
            name="default", endpoint_name=name, model=model.id, environment=image.id, compute="cpu-cluster",
            code_configuration=CodeConfiguration(code=folder + "/code", scoring_script="batch.py"),
            settings=ModelBatchDeploymentSettings(mini_batch_size=1, output_file_name="scores.txt"))
        """,
        folder=str(rows),
        name="parallel",
    )
    with pytest.raises(RemoteError, match="No module named 'azureml'"):
        sdk(DEPLOYED, folder=str(rows), name="parallel")


class Arm:
    """Resource Manager, as a logged-in person calls it."""

    def __init__(self, azure: Double) -> None:
        self._azure = azure
        command = ["az", "account", "get-access-token", "--resource", azure.url]
        done = subprocess.run(command, env={**os.environ, **azure.environment}, check=True, capture_output=True)
        self._token = json.loads(done.stdout)["accessToken"]

    def __call__(self, method: str, path: str, content: Any = None) -> Any:
        """Send a request in the resource group rg-one, and return the answer's JSON; an error has Azure's code."""
        url = f"{self._azure.url}/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-one/providers/Microsoft.{path}"
        return self.open(method, url, json.dumps(content).encode() if content is not None else None)

    def open(self, method: str, url: str, body: bytes | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = Request(url, body, headers, method=method)
        try:
            with urlopen(request, context=ssl.create_default_context(cafile=self._azure.ca)) as answer:
                text = answer.read()
        except HTTPError as error:
            refusal = json.load(error)["error"]
            raise RuntimeError(f"({refusal['code']}) {refusal['message']}") from None
        return json.loads(text) if text.startswith(b"{") else text.decode()

    def build(self, registry: str, folder: Path, **arguments: str) -> dict[str, Any]:
        """Build an image of a folder; return the run when it has ended."""
        place = self("POST", f"{registry}/listBuildSourceUploadUrl")
        packed = BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(folder, ".")
        self.open("PUT", place["uploadUrl"], packed.getvalue())
        request = {
            "type": "DockerBuildRequest",
            "imageNames": ["served:1"],
            "sourceLocation": place["relativePath"],
            "arguments": [{"name": name, "value": value} for name, value in arguments.items()],
        }
        run = self("POST", f"{registry}/scheduleRun", request)
        path = f"{registry}/runs/{run['name']}"
        until(lambda: self("GET", path)["properties"]["status"] not in ("Queued", "Started", "Running"))
        return dict(self("GET", path)["properties"])


REGISTRY = "ContainerRegistry/registries/crone"
CONTAINER = "ContainerInstance/containerGroups/ci-one"


def group_of(image: str) -> dict[str, Any]:
    """Return a container group as it is created."""
    ports = [{"port": 5001}]
    properties = {
        "containers": [{"name": "ci-one", "properties": {"image": image, "ports": ports}}],
        "ipAddress": {"type": "Private", "ports": ports},
    }
    return {"location": "westeurope", "tags": {"a": "1"}, "properties": properties}


@pytest.fixture
def arm(azure: Double) -> Arm:
    return Arm(azure)


def test_an_image_is_built_and_its_command_runs(arm: Arm, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "hello.txt").write_text("hello", encoding="utf-8")
    dockerfile = """
        FROM mcr.microsoft.com/azureml/openmpi5.0-ubuntu24.04:20260901.v1
        ARG PLACE
        COPY src /home/$PLACE/
        WORKDIR /home/$PLACE
        CMD ["python", "-m", "http.server", "5001", "--bind", "127.0.0.1"]
    """
    (tmp_path / "Dockerfile").write_text(dedent(dockerfile), encoding="utf-8")
    with pytest.raises(RuntimeError, match="ResourceNotFound"):
        arm("POST", "ContainerRegistry/registries/crnone/listBuildSourceUploadUrl")
    host = arm("GET", REGISTRY)["properties"]["loginServer"]
    (output,) = arm.build(REGISTRY, tmp_path, PLACE="server")["outputImages"]
    (same,) = arm.build(REGISTRY, tmp_path, PLACE="server")["outputImages"]
    assert same == output == {**output, "registry": host, "repository": "served", "tag": "1"}
    (other,) = arm.build(REGISTRY, tmp_path, PLACE="elsewhere")["outputImages"]
    assert other["digest"] != output["digest"]

    with pytest.raises(RuntimeError, match="InaccessibleImage"):
        arm("PUT", CONTAINER, group_of(f"{host}/served@sha256:0"))
    arm("PUT", CONTAINER, group_of(f"{host}/served@{output['digest']}"))
    until(lambda: arm("GET", CONTAINER)["properties"]["provisioningState"] == "Succeeded")
    arm("PATCH", CONTAINER, {"tags": {"b": "2"}})
    shown = arm("GET", CONTAINER)
    assert shown["tags"] == {"b": "2"}
    assert shown["properties"]["instanceView"]["state"] == "Running"
    given = shown["properties"]["ipAddress"]
    address = (given["ip"], given["ports"][0]["port"])
    until(lambda: is_open(address))
    with urlopen("http://{}:{}/hello.txt".format(*address)) as answer:
        assert answer.read() == b"hello"
    assert "GET /hello.txt" in arm("GET", f"{CONTAINER}/containers/ci-one/logs")["content"]
    arm("DELETE", CONTAINER)
    until(lambda: arm("GET", CONTAINER.rpartition("/")[0])["value"] == [])  # the operation removes it at its end
    assert not is_open(address)
    with pytest.raises(RuntimeError, match="containerGroups/ci-one' under resource group 'rg-one' was not found"):
        arm("GET", CONTAINER)


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("python:3.11-slim", "toomanyrequests"),
        ("docker.io/library/python:3.11-slim", "toomanyrequests"),
        ("crone.azurecr.io/served@sha256:0", "not found"),
        ("crtwo.azurecr.io/served@sha256:0", "unauthorized"),
    ],
)
def test_a_build_fails_where_its_base_cannot_be_pulled(arm: Arm, tmp_path: Path, base: str, reason: str) -> None:
    (tmp_path / "Dockerfile").write_text("ARG IMAGE\nFROM ${IMAGE}\n", encoding="utf-8")
    run = arm.build(REGISTRY, tmp_path, IMAGE=base)
    assert run["status"] == "Failed"
    assert reason in arm.open("GET", arm("POST", f"{REGISTRY}/runs/{run['runId']}/listLogSasUrl")["logLink"])


def test_an_image_is_copied_by_its_digest(azure: Double, arm: Arm, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCMD ["copied"]\n', encoding="utf-8")
    (output,) = arm.build(REGISTRY, tmp_path)["outputImages"]
    source = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-one/providers/Microsoft.{REGISTRY}"
    target = "ContainerRegistry/registries/crtwo"
    with pytest.raises(RuntimeError, match="InvalidOperation"):
        arm("POST", f"{target}/importImage", {"source": {"resourceId": source, "sourceImage": "served@sha256:0"}})
    wanted = {"source": {"resourceId": source, "sourceImage": f"served@{output['digest']}"}}
    arm("POST", f"{target}/importImage", wanted)
    home = azure.folder / "images" / "crtwo.azurecr.io" / "served"
    until(lambda: (home / output["digest"].removeprefix("sha256:") / "image.json").exists())


# Faults are planted; the reaction of the real clients is tested.


def test_a_new_resource_is_found_a_little_later(sdk: Session, azure: Double) -> None:
    azure.plant("not-found", "GET .*/onlineEndpoints/late$", after="PUT .*/onlineEndpoints/late$", count=2)
    with pytest.raises(RemoteError, match="ResourceNotFound"):
        sdk("ml.online_endpoints.get('late')")
    assert len(azure.faults_left()) == 1
    with pytest.raises(RemoteError, match="ResourceNotFound"):
        sdk("endpoint('late').result()")
    with pytest.raises(RemoteError, match="ResourceNotFound"):
        sdk("ml.online_endpoints.get('late')")
    assert sdk("ml.online_endpoints.get('late').provisioning_state") == "Succeeded"


def test_a_throttled_client_tries_again(sdk: Session, azure: Double) -> None:
    azure.plant("throttled", "GET .*/workspaces/mlw-one$", count=2)
    assert sdk("ml.workspaces.get().name") == "mlw-one"
    statuses = [call["status"] for call in azure.calls() if call["path"].endswith("/workspaces/mlw-one")]
    assert statuses[-3:] == [429, 429, 200]


def test_an_endpoint_has_one_change_at_a_time(sdk: Session, azure: Double) -> None:
    azure.plant("slow", "PUT .*/onlineEndpoints/busy$", seconds=2)
    sdk("poller = endpoint('busy')")
    assert sdk("ml.online_endpoints.get('busy').provisioning_state") == "Creating"
    with pytest.raises(RemoteError, match=r"Conflict.*another operation on same entity is already running"):
        sdk("endpoint('busy').result()")
    assert sdk("poller.result().provisioning_state") == "Succeeded"
    azure.plant("conflict", "PUT .*/onlineEndpoints/busy$")
    with pytest.raises(RemoteError, match="Conflict"):
        sdk("endpoint('busy').result()")
    sdk("endpoint('busy').result()")


def test_the_details_of_the_error_name_an_exceeded_quota(sdk: Session, azure: Double) -> None:
    sdk("endpoint('large').result()")
    azure.plant("quota", "PUT .*/large/deployments/blue$")
    with pytest.raises(RemoteError) as caught:
        sdk("deployment('large', 'blue').result()")
    assert caught.value.text.startswith("(BadRequest) The request is invalid.")
    assert "(InferencingClientCreateDeploymentFailed)" in caught.value.text
    assert "Not enough quota available for Standard_DS3_v2 in SubscriptionId" in caught.value.text
    sdk("deployment('large', 'blue').result()")
    azure.plant("quota", "PUT .*/computes/huge$")
    with pytest.raises(RemoteError, match="ClusterCoreQuotaReached"):
        sdk("ml.compute.begin_create_or_update(AmlCompute(name='huge', size='Standard_DS3_v2')).result()")


@pytest.mark.parametrize("planted", [True, False])
def test_a_failed_deployment_must_be_deleted_before_the_next_try(sdk: Session, azure: Double, planted: bool) -> None:
    name = f"failing-{planted}".lower()
    sdk("endpoint(name).result()", name=name)
    if planted:
        azure.plant("provisioning-fails", "PUT .*/deployments/blue$", logs="init failed on purpose\n")
    with pytest.raises(RemoteError, match=r"ResourceNotReady.*User container has crashed"):
        sdk("deployment(name, 'blue', who='broken').result()")
    assert sdk("ml.online_deployments.get('blue', name).provisioning_state") == "Failed"
    assert "init failed on purpose" in sdk("ml.online_deployments.get_logs('blue', name, 100)")
    with pytest.raises(RemoteError, match="failed during initial provisioning and is in an unrecoverable state"):
        sdk("deployment(name, 'blue').result()")
    sdk("ml.online_deployments.begin_delete('blue', name).result()")
    assert sdk("deployment(name, 'blue').result().provisioning_state") == "Succeeded"


def test_a_token_can_expire(sdk: Session, azure: Double) -> None:
    sdk("ml.online_endpoints.list()")
    azure.plant("expired-token", "GET .*/onlineEndpoints$")
    with pytest.raises(RemoteError, match=r"ExpiredAuthenticationToken.*is earlier than current UTC time") as caught:
        sdk("list(ml.online_endpoints.list())")
    assert caught.value.kind == "ClientAuthenticationError"
    sdk("list(ml.online_endpoints.list())")
    sdk("ml = client('rg-one', 'mlw-one')")  # each part of a client caches a token


def test_a_logged_out_user_gets_no_token(sdk: Session, azure: Double) -> None:
    azure.plant("logged-out", "AZ account get-access-token")
    with pytest.raises(RemoteError, match="Please run 'az login'"):
        sdk("DefaultAzureCredential().get_token('https://ml.azure.com/.default')")


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_dropped_call_is_tried_again(sdk: Session, azure: Double, carried_out: bool) -> None:
    name = f"dropped-{carried_out}".lower()
    azure.plant("drop", f"PUT .*/environments/{name}/", carried_out=carried_out)
    sdk("ml.environments.create_or_update(Environment(name=name, version='1', image='python:3.11'))", name=name)
    statuses = [call["status"] for call in azure.calls() if f"/environments/{name}/" in call["path"]]
    assert statuses[:2] == ["dropped", 200 if carried_out else 201]


def test_a_dropped_call_that_is_not_safe_to_repeat_fails(sdk: Session, azure: Double) -> None:
    azure.plant("drop", "POST .*/getLogs$", carried_out=False)
    with pytest.raises(RemoteError) as caught:
        sdk("ml.online_deployments.get_logs('blue', 'shared', 10)")
    assert caught.value.kind == "IncompleteReadError"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("forbidden", "AuthorizationFailed.*does not have authorization to perform action"),
        ("conflict", "Conflict"),
        ("not-found", "ResourceNotFound"),
    ],
)
def test_a_refusal_keeps_azures_text(sdk: Session, azure: Double, kind: str, reason: str) -> None:
    azure.plant(kind, "GET .*/environments/image/versions/1$")
    with pytest.raises(RemoteError, match=reason):
        sdk("ml.environments.get('image', '1')")
    assert sdk("ml.environments.get('image', '1').version") == "1"


@pytest.mark.parametrize("kind", ["server-error", "unavailable", "delay"])
def test_clients_hide_a_short_failure(sdk: Session, azure: Double, kind: str) -> None:
    azure.plant(kind, "GET .*/environments/image/versions/1$", seconds=0.1)
    assert sdk("ml.environments.get('image', '1').version") == "1"
    assert azure.faults_left() == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("throttled", r"\(TooManyRequests\) The request is being throttled"),
        ("conflict", r"\(ContainerGroupTransitioning\) The container group 'ci-one' is still transitioning"),
        ("quota", r"\(ContainerGroupQuotaReached\)"),
        ("forbidden", r"\(AuthorizationFailed\).*resourceGroups/rg-one.*containerGroups/ci-one"),
    ],
)
def test_a_change_of_a_container_group_can_fail(azure: Double, arm: Arm, kind: str, reason: str) -> None:
    azure.plant(kind, "DELETE .*/containerGroups/", skip=1)
    arm("DELETE", CONTAINER)
    with pytest.raises(RuntimeError, match=reason):
        arm("DELETE", CONTAINER)


@pytest.mark.parametrize(
    "command",
    [
        ["python", "-m", "http.server", "5001", "--bind", "127.0.0.1"],
        ["azmlinfsrv", "--entry_script", "/home/server/score.py", "--port", "5001"],
    ],
    ids=["a program", "a scoring server"],
)
def test_no_process_survives_the_double(command: list[str], project_python: Path, tmp_path: Path) -> None:
    registry = "rg-one/Microsoft.ContainerRegistry/registries/crone"
    with running_double(project_python, tmp_path / "double", ["rg-one/mlw-one"], [registry]) as double:
        context, arm = tmp_path / "context", Arm(double)
        context.mkdir()
        (context / "score.py").write_text(SCRIPT, encoding="utf-8")
        dockerfile = f"FROM scratch\nCOPY score.py /home/server/score.py\nCMD {json.dumps(command)}\n"
        (context / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        (output,) = arm.build(REGISTRY, context)["outputImages"]
        arm("PUT", CONTAINER, group_of(f"crone.azurecr.io/served@{output['digest']}"))
        given = arm("GET", CONTAINER)["properties"]["ipAddress"]
        address = (given["ip"], given["ports"][0]["port"])
        until(lambda: is_open(address))
        os.kill(double.pid, signal.SIGKILL)
        until(lambda: not is_open(address))


def is_open(address: tuple[str, int]) -> bool:
    """Return whether a server listens on an address."""
    try:
        socket.create_connection(address).close()
    except OSError:
        return False
    return True


def until(true: Callable[[], bool]) -> None:
    """Wait for a condition; the limit only ends a failing test."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("the condition was not met within a minute")
