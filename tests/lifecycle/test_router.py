"""The router's process in front of two small servers: weights, changes, and slots that are down."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlops
import pytest
from conftest import free_port
from mlops.outputs import write_json
from mlops.release.router import MAX_LOG


class Slot(BaseHTTPRequestHandler):
    """Answer POST with what `reply` says; here, with the request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body together, or the body waits for an acknowledgement
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, said = self.reply(body)
        answer = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def reply(self, body: bytes) -> tuple[int, dict[str, Any]]:
        said = {"path": self.path, "body": body.decode(), "type": self.headers["Content-Type"]}
        return 418 if b"teapot" in body else 200, said

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@dataclass
class Router:
    """A running router, its state file and the slots' ports."""

    port: int
    file: Path
    ports: dict[str, int]
    changes: int = 0

    def set(self, traffic: dict[str, int], **ports: int) -> None:
        """Change the state file as the local target does."""
        slots = {slot: {"port": port} for slot, port in {**self.ports, **ports}.items()}
        write_json(self.file, {"slots": slots, "traffic": traffic, "release": None})
        self.changes += 1
        os.utime(self.file, ns=(self.changes, self.changes))

    def ask(self, body: bytes = b"{}", method: str = "POST", path: str = "/score") -> Any:
        """Return status, slot and content of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/x-test"})
            answer = connection.getresponse()
            return answer.status, answer.getheader("X-Slot"), json.load(answer)
        finally:
            connection.close()

    def slots(self, count: int) -> list[str]:
        """Return the slots that answer the next requests."""
        return [self.ask()[1] for _ in range(count)]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, int]]:
    """The ports of two slots."""
    made = {slot: ThreadingHTTPServer(("127.0.0.1", 0), Slot) for slot in ("blue", "green")}
    for server in made.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {slot: server.server_port for slot, server in made.items()}
    for server in made.values():
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def running(servers: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    router = Router(free_port(), tmp_path_factory.mktemp("router") / "state.json", servers)
    router.set({})
    with start_router(router.file, router.port):
        yield router


@contextlib.contextmanager
def start_router(file: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a router's process; it must not end before the block does."""
    source = str(Path(mlops.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "mlops.release.router", str(file), str(port)],
        env={**os.environ, "PYTHONPATH": source},
    )
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    yield process
    assert process.poll() is None
    process.terminate()
    process.wait()


@pytest.fixture
def router(running: Router) -> Router:
    """The module's router, before any deployment."""
    running.set({})
    return running


@pytest.mark.parametrize("percent", [1, 20, 73])
def test_requests_are_split_exactly_and_evenly(router: Router, percent: int) -> None:
    router.set({"blue": 100 - percent, "green": percent})
    first, second = router.slots(100), router.slots(100)
    assert Counter(first) == {"blue": 100 - percent, "green": percent}
    assert first == second
    # Each slot also gets its part of every stretch, within one request.
    for start in range(0, 100, 20):
        part = first[start : start + 20].count("green")
        assert abs(part - 20 * percent / 100) <= 1


def test_all_the_traffic_goes_to_one_slot(router: Router) -> None:
    router.set({"green": 100})
    assert set(router.slots(10)) == {"green"}


def test_a_changed_file_takes_effect_with_the_next_request(router: Router) -> None:
    for percent in (0, 100, 50):
        router.set({"blue": 100 - percent, "green": percent})
        assert Counter(router.slots(10)) == Counter({"blue": (100 - percent) // 10, "green": percent // 10})


def test_a_change_within_one_tick_of_the_file_clock_takes_effect(router: Router) -> None:
    router.set({"blue": 100})
    assert router.slots(1) == ["blue"]
    router.changes -= 1
    router.set({"green": 100})
    assert router.slots(1) == ["green"]


def test_a_request_before_any_deployment_gets_503(router: Router) -> None:
    status, slot, content = router.ask()
    assert (status, slot) == (503, "none")
    assert content == {"error": {"message": "No version is deployed."}}


def test_the_traffic_of_a_removed_slot_goes_to_the_other(router: Router) -> None:
    router.set({"purple": 50, "blue": 50})
    assert set(router.slots(4)) == {"blue"}


def test_a_dead_slot_is_reported_and_the_other_keeps_answering(router: Router) -> None:
    router.set({"blue": 50, "green": 50}, green=free_port())
    answers = [router.ask() for _ in range(4)]
    assert sorted((status, slot) for status, slot, _ in answers) == [
        *[(200, "blue")] * 2,
        *[(502, "green")] * 2,
    ]
    texts = {content["error"]["message"] for status, _, content in answers if status == 502}
    assert texts == {"The green slot does not answer."}


def test_requests_and_answers_pass_unchanged(router: Router) -> None:
    router.set({"blue": 100})
    status, _, content = router.ask("\u00e9 ".encode() * 200_000, path="/score?verbose=1")
    assert status == 200
    assert content["path"] == "/score?verbose=1"
    assert content["body"] == "\u00e9 " * 200_000
    assert content["type"] == "application/x-test"
    assert router.ask(b"teapot")[0] == 418


def test_only_scoring_requests_are_forwarded(router: Router) -> None:
    router.set({"blue": 100})
    assert router.ask(method="GET", path="/") == (200, "none", {"status": "ok"})
    assert router.ask(method="GET", path="/score")[0] == 404


def test_requests_on_one_connection_are_split(router: Router) -> None:
    router.set({"blue": 50, "green": 50})
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=10)
    slots = []
    for _ in range(6):
        connection.request("POST", "/score", b"{}")
        answer = connection.getresponse()
        answer.read()
        slots.append(answer.getheader("X-Slot"))
    connection.close()
    assert Counter(slots) == {"blue": 3, "green": 3}


def test_no_request_fails_while_the_file_is_replaced(router: Router) -> None:
    router.set({"blue": 50, "green": 50})
    done = threading.Event()
    answers: list[tuple[int, str]] = []

    def keep_asking() -> None:
        while not done.is_set():
            try:
                status, slot, _ = router.ask()
                answers.append((status, slot))
            except (OSError, http.client.HTTPException) as error:
                answers.append((0, repr(error)))

    clients = [threading.Thread(target=keep_asking) for _ in range(3)]
    for client in clients:
        client.start()
    while len(answers) < 300:
        percent = len(answers) % 101
        router.set({"blue": percent, "green": 100 - percent})
    done.set()
    for client in clients:
        client.join()
    assert {status for status, _ in answers} == {200}
    assert {slot for _, slot in answers} == {"blue", "green"}


def test_a_log_that_becomes_large_is_moved_aside_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "blue.log"
    write_json(tmp_path / "state.json", {"slots": {}, "traffic": {}, "release": None})
    with log.open("ab", buffering=0) as server:
        server.write(b"early\n" * (MAX_LOG // 6 + 1))
        with start_router(tmp_path / "state.json", free_port()):
            until = time.monotonic() + 10
            while log.stat().st_size > 0:
                assert time.monotonic() < until
                time.sleep(0.05)
        server.write(b"late\n")
    assert log.read_bytes() == b"late\n"
    assert (tmp_path / "blue.log.1").stat().st_size > MAX_LOG
