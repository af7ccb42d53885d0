"""Odd, many, slow and large requests to the router: each gets an answer in JSON, and none stops the others."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import EXAMPLES, free_port, make_toy
from mlops.config import load_project
from mlops.outputs import write_json
from mlops.release.router import REQUEST_SECONDS, SMALL
from mlops.serving.limits import MAX_BODY
from test_router import Slot, start_router

GOOD = b'{"input_data": [{"near": 1.0}]}'
HEAD = b"POST /score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
PLAIN = HEAD + b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(GOOD), GOOD)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)


class Counting(Slot):
    """Answer with the length of the body."""

    def reply(self, body: bytes) -> tuple[int, dict[str, Any]]:
        return 200, {"length": len(body)}


class SlotServer(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


@dataclass
class Running:
    """A router before one slot."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def memory(self) -> int:
        """Return the router's memory, in bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def connect(self, seconds: float = 20) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def send(self, *parts: bytes, seconds: float = 20) -> bytes:
        """Send raw bytes and return all that comes back until the connection ends."""
        with self.connect(seconds) as client:
            with contextlib.suppress(ConnectionError):  # it may answer before it has read all
                for part in parts:
                    client.sendall(part)
            return receive(client)

    def works(self) -> bool:
        """Return whether a good request gets its answer at once."""
        start = time.monotonic()
        return answers(self.send(PLAIN)) == [(200, {"length": len(GOOD)})] and time.monotonic() - start < 5


def receive(client: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65536):
            found += part
    return found


def answers(received: bytes) -> list[tuple[int, object]]:
    """Return status and content of each answer in a connection; each must be complete and in JSON."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/\d\.\d (\d{3}) ", head)
        assert status, received[:200]
        received = rest
        if status[1] == b"100":
            continue
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        assert length, head
        assert b"\r\nContent-Type: application/json" in head, head
        assert b"Python" not in head
        assert b"aiohttp" not in head
        body, received = rest[: int(length[1])], rest[int(length[1]) :]
        if not body:  # of a HEAD request
            found.append((int(status[1]), None))
            continue
        content = json.loads(body)
        assert int(status[1]) < 400 or content["error"]["message"]
        found.append((int(status[1]), content))
    return found


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    slot = SlotServer(("127.0.0.1", 0), Counting)
    threading.Thread(target=slot.serve_forever, daemon=True).start()
    file = tmp_path_factory.mktemp("router") / "state.json"
    write_json(file, {"slots": {"blue": {"port": slot.server_port}}, "traffic": {"blue": 100}, "release": None})
    port = free_port()
    with start_router(file, port) as process:
        yield Running(port, process)
    slot.shutdown()
    slot.server_close()


def mutate(request: bytes, rng: np.random.Generator) -> bytes:
    """Change a request in one to four places."""
    pieces = [
        *(
            b"\r\n",
            b"\n",
            b"\x00",
            b" ",
            b"\xff\xfe",
            "\u00e9".encode(),
            b"Content-Length: 5\r\n",
            b"Content-Length: -1\r\n",
        ),
        *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Expect: 100-continue\r\n"),
        *(b"Expect: tea\r\n", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/0.9", b"Upgrade: websocket\r\nConnection: Upgrade\r\n"),
        *(b"Content-Encoding: gzip\r\n", b"X: " + b"y" * 9000 + b"\r\n", b"%00%ff", b"../", b"ffffffffffffffff\r\n"),
    ]
    made = bytearray(request)
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(len(made) + 1))
        match rng.integers(5):
            case 0:
                del made[place : place + int(rng.integers(1, 30))]
            case 1:
                made[place:place] = bytes(rng.integers(0, 256, int(rng.integers(1, 6)), dtype=np.uint8))
            case 2 if place < len(made):
                made[place] ^= 1 << int(rng.integers(8))
            case 3:
                lines = [i for i in range(len(made)) if made[i : i + 1] == b"\n"]
                if lines:
                    place = lines[int(rng.integers(len(lines)))] + 1
                    made[place:place] = pieces[int(rng.integers(len(pieces)))]
            case _:
                made[place:place] = pieces[int(rng.integers(len(pieces)))]
    return bytes(made)


def test_mutated_requests_get_answers_in_json_and_stop_nobody(router: Running) -> None:
    rng = np.random.default_rng(12)
    count = 20 * EXAMPLES

    def ask(request: bytes) -> list[tuple[int, object]]:
        with router.connect(0.5) as client:
            client.sendall(request)
            found = b""
            try:
                with contextlib.suppress(ConnectionError):
                    while part := client.recv(65536):
                        found += part
            except TimeoutError:  # the router waits for the rest, or for the next request
                client.settimeout(20)
                client.shutdown(socket.SHUT_WR)
                found += receive(client)
            return answers(found)

    requests = [mutate((PLAIN, CHUNKED)[number % 2], rng) for number in range(count)]
    with ThreadPoolExecutor(16) as pool:
        statuses = [status for found in pool.map(ask, requests) for status, _ in found]
    assert {status // 100 for status in statuses} <= {2, 4}
    assert statuses.count(200) > count / 20
    assert statuses.count(400) > count / 20
    assert router.works()
    assert router.memory < 300 * 2**20


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (PLAIN, [200]),
        (CHUNKED, [200]),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456", [400]),
        (HEAD + b"Content-Length: -5\r\n\r\n", [400]),
        (HEAD + b"Content-Length: five\r\n\r\n", [400]),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", [400]),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nGET /", [200]),
        ("POST /sc\u00f6re HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode(), [400]),
        (b"POST /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", [404]),
        (b"PUT /score HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", [404]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
        (b"nonsense\r\n\r\n", [400]),
    ],
)
def test_each_kind_of_request_gets_its_status(router: Running, request_: bytes, expected: list[int]) -> None:
    assert [status for status, _ in answers(router.send(request_))] == expected
    assert router.works()


def test_a_client_that_expects_to_be_asked_is_asked(router: Running) -> None:
    with router.connect() as client:
        client.sendall(HEAD + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(GOOD))
        assert client.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(GOOD)
        assert answers(receive(client)) == [(200, {"length": len(GOOD)})]


@pytest.mark.parametrize("form", ["declared", "expected", "chunked", "gigabytes"])
def test_a_body_that_is_too_large_is_413_and_is_not_kept(router: Running, form: str) -> None:
    size = {"gigabytes": 3 * 2**29}.get(form, MAX_BODY + 1)
    head = HEAD + b"Content-Length: %d\r\n\r\n" % size
    if form == "chunked":
        chunk = b"10000\r\n" + b" " * 2**16 + b"\r\n"
        found = router.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * (MAX_BODY // 2**16 + 1))
    elif form == "declared":
        found = router.send(head, b" " * size)
    else:
        found = router.send(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    assert answers(found) == [(413, {"error": {"message": "The body is larger than 16,777,216 bytes."}})]
    assert router.memory < 300 * 2**20
    assert router.works()


def test_the_largest_body_from_many_clients_fits_into_memory(router: Running) -> None:
    body = b" " * MAX_BODY
    largest = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal largest
        while not done.wait(0.05):
            largest = max(largest, router.memory)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(24) as pool:
        head = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % MAX_BODY
        found = list(pool.map(lambda _: answers(router.send(head, body, seconds=60)), range(24)))
    done.set()
    watcher.join()
    assert found == [[(200, {"length": MAX_BODY})]] * 24
    assert largest < 600 * 2**20


def test_five_hundred_clients_at_once_are_all_answered(router: Running) -> None:
    async def ask() -> list[tuple[int, object]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
        writer.write(PLAIN)
        found = await reader.read()
        writer.close()
        return answers(found)

    async def everybody() -> list[list[tuple[int, object]]]:
        return await asyncio.gather(*(asyncio.wait_for(ask(), 60) for _ in range(500)))

    assert asyncio.run(everybody()) == [[(200, {"length": len(GOOD)})]] * 500


def test_idle_and_slow_clients_stop_nobody_and_are_ended(router: Running) -> None:
    """Clients that say nothing, half a head, half a body, and one byte a second."""
    before = psutil.Process(router.process.pid).num_threads()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(router.connect(REQUEST_SECONDS + 15)) for _ in range(400)]
        for number, client in enumerate(clients):
            client.sendall([b"", HEAD[:30], PLAIN[:-5], PLAIN[:-9]][number % 4])
        start = time.monotonic()
        assert router.works()
        assert psutil.Process(router.process.pid).num_threads() <= before + 2
        dripping = clients[3]
        while time.monotonic() - start < REQUEST_SECONDS - 2:
            with contextlib.suppress(ConnectionError):
                dripping.sendall(b" "[: int(time.monotonic() - start < 5)])
            assert router.works()
            time.sleep(1)
        ended = [answers(receive(client)) for client in clients]
        assert time.monotonic() - start < REQUEST_SECONDS + 10
    late = [(408, {"error": {"message": f"The body did not arrive within {REQUEST_SECONDS} s."}})]
    assert [ended[number] for number in range(2)] == [[], []] or ended[1][0][0] == 400
    assert ended[2] == ended[3] == late
    assert router.works()


def test_requests_on_one_connection_are_answered_in_order(router: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=10)
    for size in (1, SMALL + 1, 3):
        connection.request("POST", "/score", b" " * size, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)) == (200, {"length": size})
    connection.close()


ROW = {"near": 1.0, "far": -0.5, "told": 0.3, "segment": "a", "note": None}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve a model in staging; return the port of the endpoint."""
    toy = make_toy(tmp_path_factory.mktemp("endpoint"))
    toy.mlops("run")
    toy.mlops("deploy", "staging")
    yield load_project(toy.root).serving.staging.port
    toy.mlops("stop")


def test_the_whole_endpoint_answers_mutated_rows_and_five_hundred_clients(endpoint: int) -> None:
    """Router, Azure ML's server and score.py: no fault of a client is answered as one of the server."""
    rng = np.random.default_rng(5)
    good = json.dumps({"input_data": [ROW]}).encode()

    async def ask(body: bytes) -> list[tuple[int, object]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint)
        writer.write(HEAD + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        found = answers(await reader.read())
        writer.close()
        return found

    async def everybody(bodies: list[bytes]) -> list[list[tuple[int, object]]]:
        return await asyncio.gather(*(asyncio.wait_for(ask(body), 90) for body in bodies))

    for _ in range(max(1, EXAMPLES // 50)):
        bodies = [good if number % 2 else mutate(good, rng) for number in range(500)]
        found = asyncio.run(everybody(bodies))
        assert {len(one) for one in found} == {1}
        assert {status for one in found for status, _ in one} <= {200, 400}
        assert all(found[number][0][0] == 200 for number in range(1, 500, 2))
