"""Releases to real server processes: successes, failures, and what they leave behind."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import yaml
from conftest import Toy, processes_below
from mlops.config import load_project
from mlops.release.local import LocalTarget
from mlops.release.target import EndpointState

ROW = {"near": 1.0, "far": -0.5, "told": 0.3, "segment": "a", "note": None}


def production(toy: Toy) -> LocalTarget:
    return LocalTarget(load_project(toy.root), "production")


def versions(state: EndpointState) -> dict[int, int]:
    """Return the percent of the traffic of each version."""
    return {state.slots[slot].version: percent for slot, percent in state.traffic.items()}


def score(toy: Toy) -> dict[str, Any]:
    """Send a row to production as a client does."""
    request = urllib.request.Request(production(toy).address, json.dumps({"input_data": [ROW]}).encode())
    with urllib.request.urlopen(request, timeout=20) as answer:
        return dict(json.load(answer))


def next_version(toy: Toy, kind: str, **params: Any) -> None:
    toy.model(kind, **params)
    toy.mlops("train")
    toy.mlops("evaluate", "--replace-champion", "a test")
    toy.mlops("register")


@pytest.fixture(scope="module")
def faulty(serving: Toy) -> Toy:
    """A project with version 1 in production and version 2 in staging."""
    next_version(serving, "Faulty", width=2)
    serving.mlops("deploy", "staging")
    return serving


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("crash-at-start", "the model does not fit into memory"),
        ("crash", "No answer: "),
        ("crash-later", 'status 502: {"error": {"message": "The green slot does not answer'),
        ("hang", "No answer within 3 s"),
        ("freeze", "No answer within 3 s"),
        ("wrong", "An answer is wrong"),
        ("slow", "ms exceeds the limit of 300 ms (serving.production.max_latency_ms)"),
    ],
)
def test_a_faulty_version_leaves_production_unchanged(faulty: Toy, fault: str, words: str) -> None:
    before = production(faulty).describe()
    (faulty.root / "fault").write_text(fault, "utf-8")
    wrong: list[object] = []
    done = threading.Event()
    client = threading.Thread(target=keep_asking, args=(faulty, done, wrong))
    has_client = fault != "crash-later"  # its crash must hit the release's own request
    if has_client:
        client.start()
    said = faulty.mlops("deploy", "production", "--yes", code=1).output
    if has_client:
        done.set()
        client.join()
    assert "Version 2 was not released to production" in said
    assert words in said
    assert "Production still serves version 1." in said
    assert "Traceback" not in said
    assert ("20 % of the traffic" in said) == (fault == "crash-later")
    assert wrong == []
    assert production(faulty).describe() == before
    assert score(faulty)["model"]["version"] == "1"
    assert faulty.stages() == {1: "production", 2: "staging"}


def keep_asking(toy: Toy, done: threading.Event, wrong: list[object]) -> None:
    """Send rows to production during a release, and collect whatever is not version 1's answer."""
    while not done.wait(0.05):
        try:
            if score(toy)["model"]["version"] != "1":
                wrong.append("another version")
        except OSError as error:
            wrong.append(error)


def test_production_needs_approval(serving: Toy) -> None:
    next_version(serving, "Columns", width=2)
    assert "approve with --yes" in serving.mlops("release", code=2).output
    assert score(serving)["model"]["version"] == "1"
    assert serving.stages()[1] == "production"


def test_production_refuses_a_version_that_was_not_in_staging(serving: Toy) -> None:
    next_version(serving, "Columns", width=3)
    said = serving.mlops("deploy", "production", "--yes", code=1).output
    assert "has not been in staging" in said


def test_a_version_with_changed_files_is_refused(toy: Toy) -> None:
    toy.mlops("run")
    (model,) = (toy.root / "mlruns").rglob("MLmodel")
    model.write_text(model.read_text("utf-8") + "\n", "utf-8")
    said = toy.mlops("release", "--yes", code=1).output
    assert "were changed after registration" in said


def test_a_deploy_restores_production_after_all_its_processes_died(serving: Toy) -> None:
    for process in processes_below(serving.root / ".mlops" / "production"):
        process.kill()
    assert "DOWN" in serving.mlops("status").stdout
    serving.mlops("deploy", "production", "--version", "1", "--yes")
    assert score(serving)["model"]["version"] == "1"


def test_a_version_goes_to_staging_then_production_and_back(serving: Toy) -> None:
    next_version(serving, "Columns", width=2)
    newest = max(serving.stages())
    said = serving.mlops("release", "--yes").stdout
    assert said.index("Staging") < said.index("Production") < said.index("20 % of the traffic")
    assert serving.stages()[1] == "retired"
    assert serving.stages()[newest] == "production"
    assert versions(production(serving).describe()) == {newest: 100}
    assert score(serving)["model"] == {"name": "toy", "version": str(newest)}

    again = serving.mlops("release", "--yes").stdout
    assert "already live" in again
    assert serving.stages()[newest] == "production"

    assert "back at version 1" in serving.mlops("rollback").stdout
    assert serving.stages()[1] == "production"
    assert serving.stages()[newest] == "withdrawn"
    assert score(serving)["model"]["version"] == "1"
    assert "no earlier version" in serving.mlops("rollback", code=1).output
    withdrawn = ["deploy", "production", "--version", str(newest), "--yes"]
    assert "withdrawn" in serving.mlops(*withdrawn, code=1).output
    assert "withdrawn" in serving.mlops("status").stdout


def test_a_port_in_use_is_reported_once(toy: Toy) -> None:
    port = load_project(toy.root).serving.staging.port
    toy.mlops("run")
    server = HTTPServer(("127.0.0.1", port), Anything)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    said = toy.mlops("deploy", "staging", code=1).output
    server.shutdown()
    thread.join()
    server.server_close()
    assert said.count(f"Port {port} is in use by another program.") == 1
    assert "serving.staging.port" in said
    assert "Staging still serves no version." in said
    assert not list((toy.root / ".mlops").rglob("*.log"))  # no server was started in vain
    toy.mlops("deploy", "staging")


class Anything(BaseHTTPRequestHandler):
    """Another program's server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def test_a_release_without_a_registered_version_is_refused(toy: Toy) -> None:
    assert "mlops run" in toy.mlops("release", "--yes", code=2).output
    assert "no version 7" in toy.mlops("deploy", "staging", "--version", "7", code=2).output


def test_a_router_that_was_killed_is_started_again_by_status(serving: Toy) -> None:
    before = score(serving)
    for process in processes_below(serving.root / ".mlops" / "production" / "router"):
        process.kill()
    shown = serving.mlops("status").stdout
    assert "DOWN" not in shown
    assert score(serving) == before


def test_a_slot_killed_during_a_release_is_not_said_to_serve(toy: Toy) -> None:
    toy.mlops("run")
    toy.mlops("release", "--yes")
    next_version(toy, "Faulty", width=2)
    toy.mlops("deploy", "staging")
    (toy.root / "fault").write_text("wrong", "utf-8")
    live = production(toy).describe().live
    with toy.running("deploy", "production", "--yes") as (process, output):
        said = ""
        while "Deploying version 2" not in said:
            said += output.readline()
        for server in processes_below(toy.root / ".mlops" / "production" / str(live)):
            server.kill()
        said += output.read()
        process.join()
    assert process.exitcode == 1
    assert "Production still serves" not in said
    assert "Production served version 1 before, but its server has ended: run" in said
    toy.mlops("deploy", "production", "--version", "1", "--yes")
    assert score(toy)["model"]["version"] == "1"


def test_a_proxy_in_the_environment_is_not_used_for_this_machine(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))  # it never answers
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{dead.getsockname()[1]}")
        toy.mlops("run")
        toy.mlops("release", "--yes")
        assert toy.mlops("status").stdout.count("healthy") == 2


@pytest.mark.parametrize("address", ["127.0.0.1", ""])  # "" is every address of this machine
def test_a_port_that_any_program_holds_is_found_at_once(toy: Toy, address: str) -> None:
    toy.mlops("run")
    port = yaml.safe_load((toy.root / "project.yml").read_text("utf-8"))["serving"]["staging"]["port"]
    with socket.create_server((address, port)):  # it accepts, and never answers
        said = toy.mlops("deploy", "staging", code=1).output
    assert f"Port {port} is in use by another program." in said
    assert not list(processes_below(toy.root))
    toy.mlops("deploy", "staging")
