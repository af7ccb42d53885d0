"""Split requests between the local slots by weight, as an Azure endpoint does.

``python -m mlops.release.router STATE_FILE PORT``, started by the local target.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import shutil
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from yarl import URL

from mlops.serving.limits import KEEP_ALIVE, MAX_BODY, TOO_LARGE

LONGEST_SECONDS: Final = 600
GRACE_SECONDS: Final = 0.5  # a slot times out first, if it can; then this router; then a client
REQUEST_SECONDS: Final = 30  # for a request to arrive: its head, then its body
IDLE_SECONDS: Final = 75  # between two requests of a connection
LINGER_SECONDS: Final = 2  # for a client to read why the rest of its body is not read
LOG_SECONDS: Final = 30
MAX_LOG: Final = 8 * 2**20  # bytes, of each server; as many are kept in a file beside it
BACKLOG: Final = 1024
SLOT_CONNECTIONS: Final = 100
# Bodies beyond SMALL are read by a few clients at a time, so that many of them fit into memory.
SMALL: Final = 2**16
LARGE_AT_ONCE: Final = 8


class Weights:
    """The slots' ports, timeouts and weights, reread when the state file changes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, ...] = ()
        self._slots: dict[str, dict[str, Any]] = {}
        self._traffic: dict[str, int] = {}
        self._credit: dict[str, float] = {}

    def next_slot(self) -> tuple[str, int, float] | None:
        """Return slot, port and timeout for the next request, by smooth weighted round-robin."""
        self._refresh()
        if not self._traffic:
            return None
        for slot, weight in self._traffic.items():
            self._credit[slot] = self._credit.get(slot, 0) + weight
        chosen = max(self._traffic, key=lambda slot: self._credit[slot])
        self._credit[chosen] -= sum(self._traffic.values())
        kept = self._slots[chosen]
        return chosen, kept["port"], kept.get("timeout_s", LONGEST_SECONDS)

    def _refresh(self) -> None:
        file = self._file.stat()
        seen = (file.st_mtime_ns, file.st_ino, file.st_size)
        if seen == self._seen:
            return
        state = json.loads(self._file.read_text("utf-8"))
        self._slots = state["slots"]
        self._traffic = {s: w for s, w in state["traffic"].items() if s in self._slots}
        self._credit = {}
        self._seen = seen


class Problem(Exception):
    """A request that is not forwarded, with the status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Router:
    """Forwards requests to the slots, and their answers to the clients."""

    def __init__(self, weights: Weights, session: aiohttp.ClientSession) -> None:
        self._weights = weights
        self._session = session
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, whatever it is, in JSON."""
        if isinstance(request.protocol, Connection):
            request.protocol.silence.cancel()
        try:
            if request.method == "GET" and request.path == "/":
                return respond(200, b'{"status": "ok"}')
            if request.method != "POST" or request.path != "/score":
                raise Problem(404, "Send rows to /score with POST.")
            return await self._forward(request)
        except Problem as problem:
            response = fail(problem.status, str(problem))
            if problem.status != 404:  # the rest of the request is not read
                response.force_close()
            return response

    async def _forward(self, request: web.BaseRequest) -> web.Response:
        length = request.content_length
        if length is not None and length > MAX_BODY:
            raise Problem(413, TOO_LARGE)
        turn = contextlib.nullcontext() if length is not None and length <= SMALL else self._large
        async with turn:
            body = await read_body(request)
            chosen = self._weights.next_slot()
            if chosen is None:
                return fail(503, "No version is deployed.")
            slot, port, seconds = chosen
            kind = request.headers.get("Content-Type", "application/json")
            url = address(port, request.rel_url.raw_path_qs)
            try:
                async with asyncio.timeout(seconds + GRACE_SECONDS):
                    return await self._ask(url, body, kind, slot)
            except TimeoutError:
                return fail(504, f"The {slot} slot did not answer within {seconds:g} s.", slot)
            except (aiohttp.ClientError, OSError):
                return fail(502, f"The {slot} slot does not answer.", slot)

    async def _ask(self, url: URL, body: bytes, kind: str, slot: str) -> web.Response:
        headers = {"Content-Type": kind}
        async with self._session.post(url, data=body, headers=headers) as found:
            text = await found.read()
            if found.content_type.startswith("text/"):  # of the server, not of score.py
                return fail(found.status, text.decode("utf-8", "replace")[:500], slot)
            return respond(found.status, text, slot)


@lru_cache(maxsize=64)
def address(port: int, path: str) -> URL:
    """Return a slot's address; parsing it takes as long as routing a request."""
    return URL(f"http://127.0.0.1:{port}{path}", encoded=True)


async def read_body(request: web.BaseRequest) -> bytes:
    """Return a request's body.

    Raises
    ------
    Problem
        It is too large, too slow, or not what its head says.
    """
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the answer, nothing is sent yet
    body = bytearray()
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY:
                    raise Problem(413, TOO_LARGE)
    except TimeoutError:
        raise Problem(408, f"The body did not arrive within {REQUEST_SECONDS} s.") from None
    except (web.RequestPayloadError, aiohttp.http.HttpProcessingError) as error:
        raise Problem(400, f"The body is not valid HTTP: {error}") from None
    return bytes(body)


def respond(status: int, body: bytes, slot: str = "none") -> web.Response:
    """Return an answer that names the slot, and no versions of this server."""
    headers = {"X-Slot": slot, "Server": "mlops"}
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def fail(status: int, message: str, slot: str = "none") -> web.Response:
    """Return an error."""
    return respond(status, json.dumps({"error": {"message": message}}).encode(), slot)


class Connection(web.RequestHandler):
    """A client's connection, which answers in JSON also what is not HTTP, and ends if it is idle.

    Attributes
    ----------
    silence : asyncio.TimerHandle
        Ends the connection unless it is cancelled by the first request.
    """

    silence: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.silence = asyncio.get_running_loop().call_later(REQUEST_SECONDS, transport.close)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.silence.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        text = str(message or "The request could not be answered.").split("\n")[0]
        response = fail(status, f"Not a valid request: {text}" if status < 500 else text)
        response.force_close()
        return response


async def serve(file: Path, port: int) -> None:
    """Serve until the process is terminated."""
    # Idle connections are closed here first: a slot that closed one would lose a request.
    connector = aiohttp.TCPConnector(limit=SLOT_CONNECTIONS, keepalive_timeout=KEEP_ALIVE / 4)
    timeout = aiohttp.ClientTimeout(total=None)  # each slot has its own
    # Not by a proxy: the slots are on this machine.
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        trust_env=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    ) as session:
        manager = web.Server(Router(Weights(file), session).answer)
        loop = asyncio.get_running_loop()

        def connect() -> Connection:
            return Connection(
                manager,
                loop=loop,
                keepalive_timeout=IDLE_SECONDS,
                lingering_time=LINGER_SECONDS,
                auto_decompress=False,
                access_log=None,  # type: ignore[arg-type]
            )

        housekeeping = asyncio.create_task(keep_logs_short(file.parent))
        server = await loop.create_server(connect, "127.0.0.1", port, backlog=BACKLOG)
        await asyncio.gather(server.serve_forever(), housekeeping)


async def keep_logs_short(folder: Path) -> None:
    """Move what the servers' logs hold aside before they become large, as often as needed."""
    while True:
        with contextlib.suppress(OSError):  # a log just removed, or a full disk: try again later
            for log in folder.glob("*.log"):
                if log.stat().st_size > MAX_LOG:
                    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
                    os.truncate(log, 0)  # the server, which appends, goes on at the beginning
        await asyncio.sleep(LOG_SECONDS)


def allow_many_connections() -> None:
    """Raise the limit of open files as far as this user may."""
    if sys.platform != "win32":
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    gc.set_threshold(100_000, 20, 100)  # requests leave no circles behind
    allow_many_connections()
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
