"""A small rendered project and a loopback Azure, for the tests of releases to Azure."""

import csv
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml
from doubles import SUBSCRIPTION
from doubles.client import Double, running_double
from doubles.session import running_session
from rendering import load_naming
from warm_mlops import Mlops, warm_mlops

PREFIX = "creditrisk"  # as the default answers make it
NAMING = load_naming()
MODEL = "credit-risk"
ROWS = 1200

# Registers a model of this machine in a workspace; in staging also the image that its training would have built.
SEED = """
import tempfile
from pathlib import Path
from azure.ai.ml.entities import Model
from mlops.azure.platform import AzurePlatform
from mlops.azure.workspace import connect
from mlops.config import load_project
from mlops.model.loading import model_digest
from mlops.model.registry import Registry, seal
project = load_project(Path("."))
client, registry = connect(project, where), Registry(project)
with tempfile.TemporaryDirectory() as folder:
    trained = registry.champion()
    files = registry.download(trained, Path(folder) / "files")
    (files / "registered_model_meta").unlink(missing_ok=True)
    if extra:
        (files / "extra").write_text(extra)
    tags = {**trained.tags, "mlops.stage": stage, "mlops.model_digest": model_digest(files)}
    tags["mlops.seal"] = seal(project.project, tags)
    for number in numbers:
        model = Model(name=project.project, version=number, path=files, type="mlflow_model", tags=tags)
        client.models.create_or_update(model)
if where == "staging":
    AzurePlatform(project).images(where).provide_environment(lambda _: None)
None
"""

TRIGGER = """
from pathlib import Path
from mlops.azure.workspace import connect
from mlops.config import load_project
connect(load_project(Path(".")), "staging").schedules.trigger(schedule).job_name
"""
FOLLOW = """
from pathlib import Path
from mlops.azure import pipeline
from mlops.azure.workspace import connect
from mlops.config import load_project
pipeline.follow(connect(load_project(Path(".")), "staging"), job, minutes)
"""
ADDRESS = "azureml://datastores/workspaceblobstore/paths/credit/"


def name_of(resource: str, environment: str) -> str:
    """Return the name of an Azure resource; in the double, as in Terraform, it may derive from the subscription."""
    unique = NAMING.unique(SUBSCRIPTION, PREFIX, environment)
    return str(NAMING.RULES[resource].name(PREFIX, environment, unique=unique))


@dataclass
class Lab:
    """A project, its command line, and a double of Azure.

    Attributes
    ----------
    mlops :
        Its command line, connected to the double.
    azure :
        The double.
    python :
        The Python of the project's environment.
    """

    mlops: Mlops
    azure: Double
    python: Path
    _token: str = field(default="", repr=False)

    def seed(self, *numbers: int, stage: str = "staging", where: str = "staging", extra: str = "") -> None:
        """Register a model of this machine in a workspace under some numbers, optionally with an extra file."""
        if not (self.mlops.root / "mlflow.db").exists():
            self.mlops("run")
        self._call(SEED, numbers=[str(number) for number in numbers], stage=stage, where=where, extra=extra)

    def trigger(self, schedule: str, environment: Mapping[str, str] | None = None) -> str:
        """Start staging's schedule at once, as its time does; return the job's name."""
        return str(self._call(TRIGGER, environment, schedule=schedule))

    def scale(self, environment: str, slot: str, count: int) -> None:
        """Change a slot's number of instances, as Azure Monitor does."""
        self._patch(self._slot(environment, slot), {"sku": {"name": "Default", "capacity": count}})

    def follow(self, job: str, minutes: int) -> bool:
        """Follow a job for some minutes; return whether it has ended."""
        return bool(self._call(FOLLOW, job=job, minutes=minutes))

    def pending(self, environment: str) -> dict[str, Any]:
        """Return the note of a managed endpoint's pending release; {} if there is none."""
        note = self.stored()[self._endpoint(environment).lower()]["tags"].get("mlops.release")
        return dict(json.loads(note)) if note else {}

    def age_release(self, environment: str, seconds: int) -> None:
        """Let the note of a pending release be older, as if time had passed."""
        path, note = self._endpoint(environment), self.pending(environment)
        tags = self.stored()[path.lower()]["tags"]
        self._patch(path, {"tags": {**tags, "mlops.release": json.dumps({**note, "at": note["at"] - seconds})}})

    def instances(self, environment: str, slot: str) -> int:
        """Return a slot's number of instances."""
        return int(self.stored()[self._slot(environment, slot).lower()]["sku"]["capacity"])

    def _call(self, code: str, environment: Mapping[str, str] | None = None, **names: Any) -> Any:
        """Run code in the project's environment, with the double as Azure; return its value."""
        variables = {**(environment or self.azure.environment), "PYTHONPATH": str(self.mlops.root / "src")}
        with running_session(self.python, variables, self.mlops.root) as session:
            return session(code, **names)

    def _patch(self, path: str, content: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._new_token()}"}
        request = Request(self.azure.url + path, json.dumps(content).encode(), headers, method="PATCH")
        urlopen(request, context=ssl.create_default_context(cafile=self.azure.ca)).close()

    def _endpoint(self, environment: str) -> str:
        group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{PREFIX}-{environment}"
        workspace = f"{group}/providers/Microsoft.MachineLearningServices/workspaces/mlw-{PREFIX}-{environment}"
        return f"{workspace}/onlineEndpoints/{name_of('endpoint', environment)}"

    def _slot(self, environment: str, slot: str) -> str:
        return f"{self._endpoint(environment)}/deployments/{slot}"

    def add_rows(self, name: str, first: int, last: int) -> None:
        """Put some rows of the sample into the folder of ADDRESS, as another system does."""
        header, *rows = (self.mlops.root / "data" / "credit.csv").read_text("utf-8").splitlines(keepends=True)
        account = self.resources()[f"/mlw-{PREFIX}-staging"]["storageAccount"].rsplit("/", 1)[1]
        folder = self.azure.folder / "storage" / account / "azureml-blobstore" / "credit"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join([header, *rows[first:last]]), encoding="utf-8")

    def attach_cluster(self) -> None:
        """Attach production's AKS cluster, as whoever may apply infra/ does once."""
        group = f"rg-{PREFIX}-production"
        scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
        cluster = f"{scope}/providers/Microsoft.ContainerService/managedClusters/aks-{PREFIX}-production"
        words = ["az", "ml", "compute", "attach", "--type", "Kubernetes", "--name", "aks", "--resource-id", cluster]
        words += ["--resource-group", group, "--workspace-name", f"mlw-{PREFIX}-production"]
        words += ["--identity-type", "SystemAssigned", "--namespace", "azureml"]
        subprocess.run(words, env=self.azure.environment, check=True, stdout=subprocess.DEVNULL)

    def fail_monitoring(self) -> None:
        """Let the last run of production's monitoring have failed."""
        group = f"/resourceGroups/rg-{PREFIX}-production"
        workspace = f"{group}/providers/Microsoft.MachineLearningServices/workspaces/mlw-{PREFIX}-production"
        job = {"jobType": "Pipeline", "status": "Failed", "double.schedule": f"{MODEL}-production-monitor"}
        self.azure.put({f"{workspace}/jobs/monitor-1": job})

    def kill_when(self, moment: str, *arguments: str) -> None:
        """Start a command, and kill it as soon as its output contains ``moment``."""
        own = {**os.environ, **self.azure.environment, "PYTHONPATH": str(self.mlops.root / "src")}
        words = [str(self.python), "-u", "-m", "mlops", *arguments]
        with subprocess.Popen(
            words, cwd=self.mlops.root, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        ) as process:
            assert process.stdout is not None
            said = ""
            while moment not in said:
                line = process.stdout.readline()
                assert line, f"the command ended before:\n{said}"
                said += line
            process.kill()

    def stored(self) -> dict[str, Any]:
        """Return all resources, by path."""
        return dict(json.loads((self.azure.folder / "resources.json").read_text(encoding="utf-8")))

    def resources(self) -> dict[str, Any]:
        """Return the properties of all resources in the workspaces, by path."""
        kept = self.stored()
        found = {path.partition("/workspaces")[2]: resource for path, resource in kept.items()}
        return {path: resource["properties"] for path, resource in found.items() if path}

    def training(self) -> dict[str, Any]:
        """Return the last training that was fetched."""
        file = self.mlops.root / "outputs" / "training" / "training.json"
        return dict(json.loads(file.read_text(encoding="utf-8")))

    def registered(self) -> set[str]:
        """Return the paths of all registered versions of the model, in both registries."""
        return {path for path in self.resources() if f"/models/{MODEL}/versions/" in path}

    def tags(self, environment: str, number: int) -> dict[str, str]:
        """Return a version's tags in an environment's registry."""
        return dict(self.resources()[f"/mlw-{PREFIX}-{environment}/models/{MODEL}/versions/{number}"]["tags"])

    def stages(self, number: int) -> tuple[str, str]:
        """Return a version's stage in staging's registry and in production's."""
        return self.tags("staging", number)["mlops.stage"], self.tags("production", number)["mlops.stage"]

    def score(self, environment: str) -> dict[str, Any]:
        """Send a row of the sample to a managed endpoint as a client does."""
        url = f"{self.azure.url}/inference/{name_of('endpoint', environment)}/score"
        for _ in range(2):
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
            request = Request(url, json.dumps({"input_data": [row(self.mlops.root)]}).encode(), headers)
            try:
                with urlopen(request, context=ssl.create_default_context(cafile=self.azure.ca), timeout=60) as answer:
                    return dict(json.load(answer))
            except HTTPError as error:
                if error.code != 401:
                    raise
                self._token = self._new_token()
        raise AssertionError("a new token was refused")

    def served(self, environment: str) -> set[int]:
        """Return the versions that answer clients."""
        return {int(self.score(environment)["model"]["version"]) for _ in range(4)}

    def _new_token(self) -> str:
        words = ["az", "account", "get-access-token", "--resource", "https://ml.azure.com"]
        done = subprocess.run(words, env=self.azure.environment, check=True, stdout=subprocess.PIPE)
        return str(json.loads(done.stdout)["accessToken"])


def row(root: Path) -> dict[str, Any]:
    """Return the first row of a project's data, as in a request."""
    with (root / "data" / "credit.csv").open(encoding="utf-8") as stream:
        values = next(csv.DictReader(stream))
    del values["status"]
    return {name: float(value) if value.replace(".", "").isdigit() else value for name, value in values.items()}


@contextmanager
def azure_lab(
    project: Path,
    python: Path,
    folder: Path,
    change: Callable[[dict[str, Any]], object],
    landing_zone: Mapping[str, Any] | None = None,
) -> Iterator[Lab]:
    """Copy a rendered project, make it small, and run a double of Azure for it.

    Parameters
    ----------
    change :
        Changes the content of project.yml.
    landing_zone :
        The identities, roles and resources that Terraform made; otherwise everybody may do everything.
    """
    root = Path(shutil.copytree(project, folder / project.name))
    shrink(root)
    configure(root, make_small, change)
    groups = {environment: f"rg-{PREFIX}-{environment}" for environment in ("staging", "production")}
    workspaces = [f"{group}/mlw-{PREFIX}-{environment}" for environment, group in groups.items()]
    resources = [
        *(
            f"{group}/Microsoft.ContainerRegistry/registries/{name_of('registry', one)}"
            for one, group in groups.items()
        ),
        f"{groups['production']}/Microsoft.ContainerService/managedClusters/aks-{PREFIX}-production",
    ]
    with ExitStack() as stack:
        given = [] if landing_zone else resources
        azure = stack.enter_context(running_double(python, folder / "azure", workspaces, given, landing_zone))
        if landing_zone:
            azure.environment["DOUBLE_LOGIN"] = "operator"
        environment = {**azure.environment, "OMP_NUM_THREADS": "1"}
        mlops = stack.enter_context(warm_mlops(python, root, environment))
        yield Lab(mlops, azure, python)


def shrink(root: Path) -> None:
    """Keep only a few rows of a project's data."""
    data = root / "data" / "credit.csv"
    lines = data.read_text(encoding="utf-8").splitlines(keepends=True)
    data.write_text("".join(lines[: ROWS + 1]), encoding="utf-8")


def configure(root: Path, *changes: Callable[[dict[str, Any]], object]) -> None:
    """Change the content of a project's project.yml."""
    file = root / "project.yml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    for change in changes:
        change(content)
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


@contextmanager
def edited(file: Path, old: str, new: str) -> Iterator[None]:
    """Replace a text in a file until the block ends."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")


def make_small(content: dict[str, Any]) -> None:
    """Make training and checks take seconds."""
    content["model"] = {"estimator": "logistic_regression"}
    content["gate"] |= {"thresholds": {"roc_auc": 0.6}, "slices": [], "slice_thresholds": {}}
    content["serving"]["staging"] |= {"smoke_requests": 3, "max_latency_ms": 5000}
    content["serving"]["production"] |= {"smoke_requests": 3, "max_latency_ms": 5000}
