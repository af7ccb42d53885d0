"""The double's HTTPS server: requests, routes, answers, and a record of every call."""

import json
import re
import socket
import ssl
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from doubles.roles import Need, needed

LONGEST_RECORDED_BODY = 100_000


@dataclass(frozen=True)
class Request:
    """An HTTP request; the path is decoded and has no query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes
    target: str
    caller: str = ""  # the object id of the token's identity

    @property
    def call(self) -> str:
        """Return the method and path, by which faults and the record identify a request."""
        return f"{self.method} {self.path}"

    def json(self) -> Any:
        """Parse the body as JSON; an empty body is an empty object."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise AzureError(400, "InvalidRequestContent", f"The request content was invalid: {error}") from None


@dataclass
class Answer:
    """An HTTP answer: bytes are sent as they are, None as an empty body, anything else as JSON."""

    status: int = 200
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        if self.content is None:
            return b""
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


class AzureError(Exception):
    """An error in Resource Manager's format: status, code, message and optional details."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: list[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {
            "code": code,
            "message": message,
            "details": [{"code": kind, "message": text, "details": []} for kind, text in details or []],
        }
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        return Answer(self.status, {"error": self.error}, self.headers)


class DroppedError(Exception):
    """Close the connection halfway through this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("dropped")
        self.answer = answer


Names = Mapping[str, str]
Needs = Callable[[Request, Names], list[Need]]
Handler = Callable[[Request, Names], Answer]


def resource_needs(request: Request, _: Names) -> list[Need]:
    """Return what Resource Manager needs for a request, by its method and path."""
    return [needed(request.method, request.path)]


def no_needs(_: Request, __: Names) -> list[Need]:
    """Return that a valid token suffices."""
    return []


ML_AUDIENCE = "https://ml.azure.com"
ARM_AUDIENCE = "{url}"  # the double's own address


@dataclass(frozen=True)
class Route:
    """A handler for some methods and paths, and the token that a request must bring.

    Attributes
    ----------
    pattern :
        A path, case-insensitive: {name} matches one segment, {name...} the rest.
    audiences :
        The token's allowed audiences, or a function that looks them up; OPEN for none. The server checks the token
        before it calls the handler.
    needs :
        What the token's identity must be allowed to do; by default what Resource Manager derives from the path.
    """

    methods: str
    pattern: str
    handler: Handler
    audiences: tuple[str, ...] | Callable[[Names], tuple[str, ...]] = (ARM_AUDIENCE, ML_AUDIENCE)
    needs: Needs = resource_needs

    def match(self, request: Request) -> Names | None:
        if request.method not in self.methods.split():
            return None
        found = _regex(self.pattern).fullmatch(request.path)
        return found.groupdict() if found else None


OPEN: tuple[str, ...] = ()


class Service(Protocol):
    """A part of the double that answers requests."""

    def routes(self) -> list[Route]:
        """Return the service's routes."""


_compiled: dict[str, re.Pattern[str]] = {}


def _regex(pattern: str) -> re.Pattern[str]:
    if pattern not in _compiled:
        regex = "".join(
            f"(?P<{part[1:-4]}>.+)"
            if part.endswith("...}")
            else f"(?P<{part[1:-1]}>[^/]+)"
            if part[:1] == "{"
            else re.escape(part)
            for part in re.split(r"(\{[a-z_.]+\})", pattern)
        )
        _compiled[pattern] = re.compile(regex, re.IGNORECASE)
    return _compiled[pattern]


class Website:
    """Serves routes over TLS on a free port.

    Parameters
    ----------
    gate :
        Receives every request first, and may answer it.
    check :
        Checks an Authorization header against the allowed audiences; returns the claims, or raises an AzureError.
    authorize :
        Raises an AzureError if an identity, by its object id, lacks one of some needs.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        gate: Callable[[Request, Callable[[], Answer]], Answer],
        check: Callable[[str | None, Iterable[str]], Mapping[str, Any]],
        authorize: Callable[[str, list[Need]], None],
    ) -> None:
        self.routes: list[Route] = []
        self._gate = gate
        self._check = check
        self._authorize = authorize
        self._calls: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._server = _Server(context, self)
        self.url = f"https://localhost:{self._server.server_port}"

    def serve(self) -> None:
        """Serve until the process ends."""
        self._server.serve_forever()

    def calls(self) -> list[dict[str, Any]]:
        """Return every call so far, oldest first."""
        with self._lock:
            return list(self._calls)

    def record(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Record a call; the caller sets its status."""
        call = {"method": method, "path": path, "query": dict(query or {}), "body": body, "status": None}
        with self._lock:
            self._calls.append(call)
        return call

    def answer(self, request: Request) -> Answer:
        """Pass a request through the gate to its route."""
        call = None
        if not request.path.startswith("/_double/"):
            call = self.record(request.method, request.path, _recorded(request), request.query)
        try:
            answer = self._gate(request, lambda: self._dispatch(request))
        except AzureError as refusal:
            answer = refusal.answer()
        except DroppedError as dropped:
            if call:
                call["status"] = "dropped"
            raise dropped from None
        except Exception:  # noqa: BLE001 -- a bug in the double: answer with a server error
            traceback.print_exc(file=sys.stderr)
            answer = AzureError(500, "InternalServerError", f"The double failed: {traceback.format_exc()}").answer()
        if call:
            call["status"] = answer.status
        return answer

    def _dispatch(self, request: Request) -> Answer:
        for route in self.routes:
            found = route.match(request)
            if found is not None:
                return route.handler(self._authorized(route, request, found), found)
        raise AzureError(404, "NotFound", f"The double has no answer to {request.call}")

    def _authorized(self, route: Route, request: Request, names: Names) -> Request:
        """Return the request with its caller, who may make it."""
        audiences = route.audiences(names) if callable(route.audiences) else route.audiences
        if not audiences:
            return request
        claims = self._check(request.headers.get("Authorization"), [name.format(url=self.url) for name in audiences])
        self._authorize(claims["oid"], route.needs(request, names))
        return replace(request, caller=claims["oid"])


def _recorded(request: Request) -> Any:
    """Return the body for the record if it is JSON and not too large."""
    if len(request.body) > LONGEST_RECORDED_BODY or "json" not in request.headers.get("Content-Type", ""):
        return None
    try:
        return json.loads(request.body)
    except ValueError:
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, context: ssl.SSLContext, site: Website) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = context
        self.site = site

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake in the connection's thread, so that a slow client does not block the others."""
        try:
            with self.context.wrap_socket(request, server_side=True) as connection:
                super().finish_request(connection, client_address)
        except (OSError, ssl.SSLError):
            pass  # the client went away


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 600
    server: _Server

    def handle_any(self) -> None:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        split = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = dict(parse_qsl(split.query, keep_blank_values=True))
        path = _own_path(self.headers.get("Host", ""), unquote(split.path))
        if len(path) > 1:
            path = path.rstrip("/")
        request = Request(self.command, path, query, self.headers, body, self.path)
        try:
            self._send(self.server.site.answer(request))
        except DroppedError as dropped:
            self._break_off(dropped.answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def _send(self, answer: Answer) -> None:
        body = answer.body()
        self.send_response(answer.status)
        kind = "application/octet-stream" if isinstance(answer.content, bytes) else "application/json; charset=utf-8"
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **answer.headers}
        for name, value in {"x-ms-request-id": str(uuid.uuid4()), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _break_off(self, answer: Answer) -> None:
        """Send half an answer and close the connection, like a failing network."""
        body = answer.body() or b" "
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Log nothing: every call is recorded."""


def _own_path(host: str, path: str) -> str:
    """Return a path in the double: of a blob service that was called by its name, it begins with that name."""
    return f"/storage/{host}{path}" if host.endswith(".blob.core.windows.net") else path
