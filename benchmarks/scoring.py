"""Time scoring one row per request through the deployed endpoint against `mlflow models serve` of the same model.

Servers with one worker each; the first three score with the same registered model:

- the endpoint, through the router that splits the traffic;
- its slot: Azure ML's inference server (azmlinfsrv) with the project's scoring script, without the router;
- `mlflow models serve`, which returns labels only; the other two also return probabilities and the model's version;
- the slot's server with a script that answers at once: the ceiling of what scoring can reach.

Each client is a process with one connection that sends the sample's rows, one per request, without pauses. Needs the
environments of `make test`; everything stays on 127.0.0.1.
"""

import argparse
import contextlib
import csv
import http.client
import itertools
import json
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from measure import Project, free_port, machine, rendered_project, verdict

GOALS = {1: 6.0, 4: 6.0, 16: 8.0}  # of the requests per second, by the number of clients
LEAST = 6.0  # for any other number of clients
BODIES = 200
START_SECONDS = 180
ANSWER_SECONDS = 30
LEAST_OF_CEILING = 0.6  # of the requests per second of the slot's server without a model
ENDPOINT, SLOT, MLFLOW, CEILING = (
    "endpoint (router)",
    "slot (azmlinfsrv)",
    "mlflow models serve",
    "slot without a model",
)
AT_ONCE = """
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

PREDICTION = {"label": "good", "probabilities": {"bad": 0.30727419687971447, "good": 0.6927258031202855}}
ANSWER = {"model": {"name": "credit-risk", "version": "1"}, "predictions": [PREDICTION]}


def init():
    pass


@rawhttp
def run(request):
    request.get_data()
    return AMLResponse(ANSWER, 200, json_str=True)
"""
SETTINGS = "import json; from mlops.serving.limits import SERVER; print(json.dumps(SERVER))"


@dataclass(frozen=True)
class Server:
    """A server's scoring address, and the rows in its format."""

    port: int
    path: str
    bodies: list[bytes]


@dataclass(frozen=True)
class Speed:
    """The throughput and latency over all clients of a server."""

    per_second: float
    p50_ms: float
    p95_ms: float


def sample_rows(project: Project) -> list[dict[str, Any]]:
    """Return the first rows of the project's data without the target, as JSON values."""
    data = project.settings["data"]
    with (project.folder / data["path"]).open(encoding="utf-8", newline="") as stream:
        rows = list(itertools.islice(csv.DictReader(stream), BODIES))
    return [{name: value_of(text) for name, text in row.items() if name != data["target"]} for row in rows]


def value_of(text: str) -> float | str | None:
    """Convert a CSV field to a number, a string, or None."""
    try:
        return float(text) if text else None
    except ValueError:
        return text


@contextlib.contextmanager
def endpoint(project: Project, rows: list[dict[str, Any]]) -> Iterator[dict[str, Server]]:
    """Train, register and deploy a model to staging; yield the endpoint and its slot."""
    for verb in ("validate", "train", "evaluate", "register"):
        project.run("-m", "mlops", verb)
    bodies = [json.dumps({"input_data": [row]}).encode() for row in rows]
    try:
        project.run("-m", "mlops", "deploy", "staging")
        state = json.loads((project.folder / ".mlops" / "staging" / "state.json").read_text(encoding="utf-8"))
        slot = max(state["traffic"], key=state["traffic"].get)
        yield {
            ENDPOINT: Server(project.settings["serving"]["staging"]["port"], "/score", bodies),
            SLOT: Server(state["slots"][slot]["port"], "/score", bodies),
        }
    finally:
        project.run("-m", "mlops", "stop")


@contextlib.contextmanager
def mlflow_server(project: Project, rows: list[dict[str, Any]]) -> Iterator[Server]:
    """Serve the registered model with MLflow's server, in the same environment."""
    port = free_port()
    model = f"models:/{project.settings['project']}/1"
    command = [project.python, "-m", "mlflow", "models", "serve", "--model-uri", model, "--port", str(port)]
    environment = {**project.environment, "MLFLOW_TRACKING_URI": f"sqlite:///{project.folder / 'mlflow.db'}"}
    # MLflow starts its server through a shell, which must find this environment's programs.
    environment["PATH"] = os.pathsep.join([str(Path(project.python).parent), environment["PATH"]])
    command += ["--host", "127.0.0.1", "--workers", "1", "--env-manager", "local"]
    with running(command, environment, port, "/ping", project.folder / "mlflow-serve.log"):
        bodies = [json.dumps({"dataframe_records": [row]}).encode() for row in rows]
        yield Server(port, "/invocations", bodies)


@contextlib.contextmanager
def ceiling(project: Project, rows: list[dict[str, Any]]) -> Iterator[Server]:
    """Run the slot's server, with its settings, with a script that answers at once."""
    port, script = free_port(), project.folder / "at_once.py"
    script.write_text(AT_ONCE, encoding="utf-8")
    settings = subprocess.run(
        [project.python, "-c", SETTINGS], env=project.environment, check=True, capture_output=True
    )
    environment = {**project.environment, **json.loads(settings.stdout), "AZUREML_MODEL_DIR": str(project.folder)}
    command = [
        project.python,
        "-m",
        "mlops.release.loopback_server",
        "--port",
        str(port),
        "--entry_script",
        str(script),
    ]
    with running(command, environment, port, "/", project.folder / "ceiling.log"):
        yield Server(port, "/score", [json.dumps({"input_data": [row]}).encode() for row in rows])


@contextlib.contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], port: int, path: str, log: Path) -> Iterator[None]:
    """Run a server until the block ends; ``path`` is that of its health check."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=log.parent, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until_ready(process, port, path, log)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    """Wait for a server's health check."""
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        connection.close()
        time.sleep(0.2)
    raise SystemExit(f"The server did not start:\n{log.read_text(errors='replace')[-2000:]}")


def client(server: Server, requests: int, seconds: float) -> tuple[float, float, list[float]]:
    """Send rows one after the other; return start, end, and the latencies in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_SECONDS)
    latencies: list[float] = []
    start = time.time()
    for body in itertools.islice(itertools.cycle(server.bodies), requests):
        before = time.perf_counter()
        connection.request("POST", server.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        latencies.append((time.perf_counter() - before) * 1000)
        if answer.status != 200:
            raise SystemExit(f"{server.path} answered {answer.status}: {content[:300]!r}")
        if time.time() - start > seconds:
            break
    connection.close()
    return start, time.time(), latencies


def load(server: Server, clients: int, requests: int, seconds: float) -> Speed:
    """Start clients at the same time, and divide the requests among them."""
    context = get_context("spawn")
    together = context.Barrier(clients, timeout=ANSWER_SECONDS)
    with ProcessPoolExecutor(clients, mp_context=context, initializer=together.wait) as pool:
        runs = [pool.submit(client, server, requests // clients, seconds) for _ in range(clients)]
        results = [run.result() for run in runs]
    latencies = [latency for *_, part in results for latency in part]
    duration = max(end for _, end, _ in results) - min(start for start, *_ in results)
    quantiles = statistics.quantiles(latencies, n=20)
    return Speed(len(latencies) / duration, statistics.median(latencies), quantiles[-1])


def compare(servers: Mapping[str, Server], clients: int, options: argparse.Namespace) -> tuple[float, float]:
    """Load the servers in turns, print medians; return the endpoint's ratio to MLflow's, the slot's to the ceiling."""
    speeds: dict[str, list[Speed]] = {name: [] for name in servers}
    for turn in range(options.runs + 1):
        for name, server in servers.items():
            speed = load(server, clients, options.requests if turn else clients * 20, options.seconds)
            if turn:  # the first turn warms the servers
                speeds[name].append(speed)
    rates = {name: statistics.median(s.per_second for s in found) for name, found in speeds.items()}
    for name, found in speeds.items():
        p50, p95 = (statistics.median(values) for values in ([s.p50_ms for s in found], [s.p95_ms for s in found]))
        ratio = rates[name] / rates[MLFLOW]
        print(f"{clients:>7}  {name:22}{rates[name]:>8.1f}{ratio:>7.2f}{p50:>9.1f} ms{p95:>9.1f} ms")
    return rates[ENDPOINT] / rates[MLFLOW], rates[SLOT] / rates[CEILING]


def main() -> None:
    """Measure each number of clients, and check the goal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--clients", type=int, nargs="+", default=[*GOALS], help="numbers of clients (default: %(default)s)"
    )
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each server (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=400, help="requests in a run (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="maximum duration of a run (default: %(default)s)")
    options = parser.parse_args()

    print(machine())
    with rendered_project() as project:
        rows = sample_rows(project)
        with endpoint(project, rows) as ours, mlflow_server(project, rows) as peer, ceiling(project, rows) as bare:
            print(f"{'clients':>7}  {'':22}{'req/s':>8}{'ratio':>7}{'p50':>12}{'p95':>12}")
            ratios = {n: compare({**ours, MLFLOW: peer, CEILING: bare}, n, options) for n in options.clients}
    print(
        f"\ngoals, {options.runs} runs each: the endpoint's requests per second as a multiple of mlflow models serve,"
    )
    print("and the slot's as a part of what its server reaches without a model")
    for clients, (ratio, part) in ratios.items():
        goal = GOALS.get(clients, LEAST)
        print(f"  {clients:>2} clients: {ratio:.2f}, at least {goal:g}: {verdict(ratio >= goal)};", end=" ")
        print(f"{part:.0%}, at least {LEAST_OF_CEILING:.0%}: {verdict(part >= LEAST_OF_CEILING)}")


if __name__ == "__main__":
    main()
