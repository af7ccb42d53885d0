"""Requests and responses of a monitored endpoint reach Azure ML's data collector."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import pytest
from conftest import Toy

Events = Queue[tuple[str, str, Any]]

ROWS = 3  # of the smoke test: serving.staging.smoke_requests
ANSWERS = 2 * ROWS  # one step of traffic follows it, and asks as clients do and the slot itself


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ThreadingHTTPServer, Events]]:
    """A collector as Azure ML starts one beside the server; its event, request id and rows."""
    events: Events = Queue()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            events.put((self.headers["ce-type"], self.headers["ce-x-request-id"], json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AZUREML_MDC_ENABLED", "true")
        monkeypatch.setenv("AZUREML_MDC_PORT", str(server.server_port))
        yield server, events
        server.shutdown()


def test_requests_and_responses_are_collected(toy: Toy, collector: tuple[ThreadingHTTPServer, Events]) -> None:
    server, events = collector
    toy.mlops("run")
    toy.mlops("deploy", "staging")
    seen = [events.get(timeout=30) for _ in range(2 * ANSWERS)]
    inputs = {request: rows for kind, request, rows in seen if kind.endswith(".model_inputs")}
    outputs = {request: rows for kind, request, rows in seen if kind.endswith(".model_outputs")}
    assert inputs.keys() == outputs.keys()
    for row in (row for rows in inputs.values() for row in rows):
        assert row.keys() == {"near", "far", "told", "segment", "note"}
    for row in (row for rows in outputs.values() for row in rows):
        assert row.keys() == {"label", "no", "yes"}
        assert row["no"] + row["yes"] == pytest.approx(1)
    server.server_close()
    toy.mlops("deploy", "staging")  # a missing collector fails no request
