"""The servers behind deployments: Azure ML's real inference server, with the file layout of its containers."""

import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from doubles import errors
from doubles.cloud import Cloud
from doubles.processes import Child, free_port, wait_until_ready
from doubles.store import Resource

START_S = 120
# azmlinfsrv listens on every interface, and has no option to change that.
AZMLINFSRV = (
    "from azureml_inference_server_http import amlserver; amlserver.DEFAULT_HOST = '127.0.0.1'; amlserver.run()"
)


@dataclass(frozen=True)
class Server:
    """The process of a deployment."""

    child: Child
    port: int


class Servers:
    """The servers, by deployment path."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._servers: dict[str, Server] = {}
        self._lock = threading.Lock()

    def get(self, path: str) -> Server | None:
        return self._servers.get(path.lower())

    def start(self, path: str, properties: Resource) -> None:
        """Start a deployment's server; stop the previous one once the new one answers."""
        *_, endpoint, _, deployment = segments = path.split("/")
        self._cloud.check_image(properties.get("environmentId") or "")
        home = self._cloud.folder / "deployments" / endpoint / deployment / str(time.time_ns())
        app, environment = unpack(self._cloud, "/".join(segments[:9]), home, properties)
        port = free_port()
        log = self._cloud.operations.logs(path)
        log.unlink(missing_ok=True)
        script = app / properties["codeConfiguration"]["scoringScript"]
        words = ["--port", str(port), "--entry_script", script]
        child = self._cloud.processes.start_python(AZMLINFSRV, words, home, log, environment)
        if not wait_until_ready(child, f"http://127.0.0.1:{port}/", START_S):
            child.stop()
            raise errors.crashed()
        with self._lock:
            old = self._servers.get(path.lower())
            self._servers[path.lower()] = Server(child, port)
        if old:
            old.child.stop()

    def stop(self, path: str) -> None:
        """Stop a deployment's server, if it has one."""
        with self._lock:
            server = self._servers.pop(path.lower(), None)
        if server:
            server.child.stop()


def unpack(cloud: Cloud, workspace: str, home: Path, properties: Resource) -> tuple[Path, dict[str, str]]:
    """Copy code and model as in Azure ML's container; return the code's folder and the environment."""
    code = properties.get("codeConfiguration")
    if not code:
        raise errors.crashed("The double cannot serve a model without a scoring script.")
    app = home / "app"
    shutil.copytree(cloud.locate(workspace, code["codeId"]), app)
    environment = {
        "AML_APP_ROOT": str(app),
        "AZUREML_ENTRY_SCRIPT": code["scoringScript"],
        **(properties.get("environmentVariables") or {}),
    }
    model = properties.get("model")
    if model:
        *_, name, _, version = model.split("/")
        served = home / "azureml-models" / name / version
        source = cloud.locate(workspace, model)
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        served.mkdir(parents=True)
        copy(source, served / source.name)
        environment["AZUREML_MODEL_DIR"] = str(served)
    return app, environment
