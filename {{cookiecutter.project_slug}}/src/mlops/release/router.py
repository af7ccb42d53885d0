"""Split requests between the local slots by weight, as an Azure endpoint does.

``python -m mlops.release.router STATE_FILE PORT``, started by the local target.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

ANSWER_SECONDS: Final = 600


class Weights:
    """The slots' ports and weights, reread when the state file changes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._ports: dict[str, int] = {}
        self._traffic: dict[str, int] = {}
        self._credit: dict[str, float] = {}

    def next_slot(self) -> tuple[str, int] | None:
        """Return slot and port for the next request, by smooth weighted round-robin."""
        with self._lock:
            self._refresh()
            if not self._traffic:
                return None
            for slot, weight in self._traffic.items():
                self._credit[slot] = self._credit.get(slot, 0) + weight
            chosen = max(self._traffic, key=lambda slot: self._credit[slot])
            self._credit[chosen] -= sum(self._traffic.values())
            return chosen, self._ports[chosen]

    def _refresh(self) -> None:
        file = self._file.stat()
        seen = (file.st_mtime_ns, file.st_ino, file.st_size)
        if seen == self._seen:
            return
        state = json.loads(self._file.read_text("utf-8"))
        self._ports = {slot: kept["port"] for slot, kept in state["slots"].items()}
        self._traffic = {s: w for s, w in state["traffic"].items() if s in self._ports}
        self._credit = {}
        self._seen = seen


class Handler(BaseHTTPRequestHandler):
    """Forward requests to a slot, and its answers to the client."""

    protocol_version = "HTTP/1.1"
    # Send head and body together: the body would wait 40 ms for the head's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    weights: Weights

    def do_GET(self) -> None:
        if self.path == "/":
            self._send(200, b'{"status": "ok"}', "none")
        else:
            self._send(404, b'{"error": {"message": "Send rows to /score with POST."}}', "none")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chosen = self.weights.next_slot()
        if chosen is None:
            self._send(503, b'{"error": {"message": "No version is deployed."}}', "none")
            return
        slot, port = chosen
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        try:
            kind = self.headers.get("Content-Type", "application/json")
            connection.request("POST", self.path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            self._send(answer.status, answer.read(), slot)
        except (OSError, http.client.HTTPException):
            message = {"error": {"message": f"The {slot} slot does not answer."}}
            self._send(502, json.dumps(message).encode(), slot)
        finally:
            connection.close()

    def _send(self, status: int, body: bytes, slot: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Slot", slot)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: the slots log every request."""


def main() -> None:
    """Serve until terminated."""
    Handler.weights = Weights(Path(sys.argv[1]))
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()


if __name__ == "__main__":
    main()
