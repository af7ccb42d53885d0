"""A registered model gives the same answers on every server, and `--help` imports nothing of Azure."""

import http.client
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure_project import MODEL, configure, make_small, shrink
from doubles.images import Images
from doubles.processes import free_port, free_ports
from doubles.session import running_session
from rendering import Render
from warm_mlops import Mlops, warm_mlops

START_S = 120
DIRECT = """
import json
from pathlib import Path
import mlflow.sklearn
from mlops.config import load_project
from mlops.azure.images import copy_server
from mlops.model.estimators import predicted_classes
from mlops.model.loading import model_digest, trust
from mlops.model.registry import Registry
from mlops.science import find_science
project = load_project(Path("."))
registry = Registry(project)
files = registry.download(registry.version(1), Path(folder) / "registered")
copy_server(project, 1, files, Path(context))
rows = find_science(project).load(project.data_path).drop(columns=project.data.target).head(60)
rows = rows.astype({name: "float64" for name in rows.select_dtypes("number")})
model = mlflow.sklearn.load_model(str(files))
probabilities = model.predict_proba(rows)
names = [str(name) for name in model.classes_]
labels = [model.classes_.tolist()[number] for number in predicted_classes(model, probabilities)]
predictions = [
    {"label": label, "probabilities": dict(zip(names, row))} for label, row in zip(labels, probabilities.tolist())
]
variables = trust(project, model_digest(files)).variables()
[json.loads(rows.to_json(orient="records", double_precision=15)), predictions, variables]
"""


@dataclass(frozen=True)
class Scored:
    """A registered model: rows, its own predictions for them, and the build context of its image."""

    mlops: Mlops
    rows: list[dict[str, Any]]
    predictions: list[dict[str, Any]]
    context: Path
    variables: dict[str, str]


@pytest.fixture(scope="module")
def scored(render: Render, project_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    """A model trained and registered on this machine."""
    folder = tmp_path_factory.mktemp("scoring")
    root = Path(shutil.copytree(render({"serving": "aci-aks"}), folder / MODEL))
    shrink(root)
    ports = dict(zip(("staging", "production"), free_ports(2), strict=True))
    configure(root, make_small, lambda content: [content["serving"][name].update(port=ports[name]) for name in ports])
    context = folder / "context"
    context.mkdir()
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root / "src")}
    with (
        warm_mlops(project_python, root, environment) as mlops,
        running_session(project_python, environment, root) as session,
    ):
        mlops("run")
        rows, predictions, variables = session(DIRECT, folder=str(folder), context=str(context))
        assert len(rows) == len(predictions) == 60
        yield Scored(mlops, rows, predictions, context, variables)
        mlops("stop")


def test_the_local_server_gives_the_models_answers(scored: Scored) -> None:
    said = scored.mlops("deploy", "staging")
    [port] = re.findall(r"is in staging: http://127.0.0.1:(\d+)/score", said.text)
    assert ask(int(port), scored.rows) == scored.predictions


def test_the_containers_command_gives_the_models_answers(scored: Scored, project_python: Path, tmp_path: Path) -> None:
    images, base = Images(tmp_path / "images"), tmp_path / "base"
    base.mkdir()
    (base / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    arguments = {"IMAGE": f"one.azurecr.io/base@{images.build('one.azurecr.io', 'base', base, {})}"}
    home = images.find(f"one.azurecr.io/server@{images.build('one.azurecr.io', 'server', scored.context, arguments)}")
    assert home is not None
    image, programs = json.loads((home / "image.json").read_text("utf-8")), project_python.parent
    here = {name: place(value, home) for name, value in image["environment"].items()}
    here["AZUREML_MODEL_DIR"] = place(f"/home/server/models/{MODEL}/1", home)
    port = free_port()
    words = [place(word, home).replace("5001", str(port)) for word in image["command"]]
    assert words[0] == "azmlinfsrv"
    plain = {"PATH": f"{programs}{os.pathsep}/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [programs / words[0], *words[1:]],
            cwd=place(image["workdir"], home),
            env={**plain, **here, **scored.variables},
            stdout=log,
            stderr=log,
        ) as server,
    ):
        try:
            wait_until_ready(server, port, tmp_path / "log")
            assert ask(port, scored.rows) == scored.predictions
        finally:
            server.terminate()


def test_help_imports_nothing_of_azure(scored: Scored, project_python: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(scored.mlops.root / "src")}
    command = [str(project_python), "-X", "importtime", "-m", "mlops"]
    for arguments in (["--help"], ["run", "--help"], ["release", "--help"], ["status", "--on", "nowhere"]):
        run = subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, encoding="utf-8", check=False
        )
        imported = set(re.findall(r"\| +([\w.]+)$", run.stderr, re.MULTILINE))
        assert "mlops.cli" in imported
        large = {"azure", "azureml", "msal", "mlflow", "pandas", "sklearn", "great_expectations"}
        assert large & {name.partition(".")[0] for name in imported} == set()


def ask(port: int, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a local server's predictions for all rows in one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/score", json.dumps({"input_data": rows}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, content
    assert content["model"] == {"name": MODEL, "version": "1"}
    return list(content["predictions"])


def place(text: str, folder: Path) -> str:
    """Return a path of the image as a path in ``folder``; leave other text unchanged."""
    return str(folder / "files") + text if text.startswith("/home/") else text


def wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while True:
        assert server.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        assert time.monotonic() < until, log.read_text(encoding="utf-8", errors="replace")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
