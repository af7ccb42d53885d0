"""GitHub on the loopback: what a rendered project's workflows call, and what a person calls who wires a repository.

Plain HTTP on the loopback, and on a Unix socket for `gh`. A token belongs to a job and has the permissions of its
workflow file, or to a person. Sources: paths, rights and answers from GitHub's OpenAPI description (npm
@octokit/openapi 23.0.2) and its table of permissions for fine-grained tokens; "Resource not accessible by integration"
and X-Accepted-GitHub-Permissions, and 404 for what a token may not see, from "Troubleshooting the REST API"; scopes'
headers and the paths of Enterprise Server and ghe.com from gh 2.102.0; a public repository's refusal from
infrahouse/infrahouse-toolkit#85; "Body is too long" from telia-oss/github-pr-resource#259.
"""

import contextlib
import json
import re
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from doubles import github_environments, github_repository, github_rulesets, github_runs
from doubles.github_faults import Fault
from doubles.github_store import (
    IN,
    LEVELS,
    ROLES,
    Account,
    Call,
    Environment,
    Reply,
    Repository,
    Request,
    Route,
    Run,
    Store,
    Token,
    not_found,
    page,
    refuse,
)

__all__ = [
    "BOT",
    "LEVELS",
    "LONGEST_BODY",
    "Account",
    "Call",
    "Environment",
    "Fault",
    "GitHub",
    "Repository",
    "Run",
    "Token",
    "running_github",
]

BOT = "github-actions[bot]"
LONGEST_BODY = 65_536
POLL_SECONDS = 0.02  # until a server sees that it shall stop
NOBODY = Token("", {})
UNREADABLE = "not JSON"
Answer = tuple[int, Any, Mapping[str, str]]


@dataclass
class GitHub(Store):
    """GitHub with one repository."""

    def handle(self, method: str, target: str, token: str, body: bytes, host: str = "") -> Answer | None:
        """Answer a request: status, content and headers; None closes the connection."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        sent = _parse(body)
        request = Request(method, parts.path, query, {} if sent is None else sent, self.tokens.get(token, NOBODY), host)
        status, content, headers = self._answer(request)
        known = request.token
        call = Call(known.job, method, parts.path, status, sent, known.who, host)
        self.calls.append(call)
        if self.after_call:
            self.after_call(call)
        return (status, content, headers) if status else None

    def interrupt_after(self, number: int, action: Any) -> None:
        """Do something after a number of further calls, before the last of them is answered."""
        last = len(self.calls) + number
        self.after_call = lambda _: action() if len(self.calls) == last else None

    def _answer(self, request: Request) -> Answer:
        """Fail as planted, or answer."""
        fault = self.faults.pop(0) if self.faults and not request.path.startswith("/_double") else None
        if fault:
            return fault[0], {"message": "a planted fault"}, fault[1]
        hits = [one for one in self.planted if one.hits(request.method, request.path)]
        if hits and not hits[0].is_carried_out:
            return hits[0].answer()
        answer = self._route(request)
        return hits[0].answer() if hits else answer

    def _route(self, request: Request) -> Answer:
        path = self._path(request)
        for route in ROUTES:
            found = re.fullmatch(route.pattern, path)
            if not found or route.method != request.method:
                continue
            status, content = self._refusal(route, request, path) or route.answer(
                self, request, **{name: unquote(value) for name, value in found.groupdict().items()}
            )
            return status, content, _headers(route, request.token, status)
        return *not_found(), {}

    def _path(self, request: Request) -> str:
        """Return the path as on github.com, with the repository's name instead of its id; "" if there is none."""
        path, host = request.path, request.host
        of_server = re.match("/api(/v3)?(?=/)", path)  # REST and GraphQL of an Enterprise Server
        if of_server:
            path = "" if host.startswith("api.") else path[of_server.end() :]
        if self.repository:
            path = re.sub(rf"^/repositories/{self.repository.id}(?=/|$)", f"/repos/{self.repository.full_name}", path)
        return path

    def _refusal(self, route: Route, request: Request, path: str) -> Reply | None:
        """Return why a token may not do this, or None."""
        token = request.token
        if route.is_open:
            return None
        if not token.who:
            return refuse(401, "Bad credentials")
        if not isinstance(request.content, dict):
            return refuse(
                400, "Problems parsing JSON" if request.content == UNREADABLE else "Body should be a JSON object"
            )
        if token.scopes is None and route.rights and not token.may(*route.rights):
            return refuse(
                403, f"Resource not accessible by {'personal access token' if token.login else 'integration'}"
            )
        if token.scopes is not None and route.scope and route.scope not in token.scopes:
            return not_found()
        if token.login and path.startswith("/repos/"):
            return self._unseen(route, token, path)
        return None

    def _unseen(self, route: Route, token: Token, path: str) -> Reply | None:
        """Return why a person may not do this in the repository, or None."""
        found = self.repository
        if found is None or "/".join(path.split("/")[2:4]).lower() != found.full_name.lower():
            return not_found()
        role = found.roles.get(token.login, "none" if found.private else "read")
        if ROLES.index(role) >= ROLES.index(route.role):
            return None
        return not_found() if found.private else refuse(403, "Must have admin rights to Repository.")


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body or b"null")
    except ValueError:
        return UNREADABLE


def _headers(route: Route, token: Token, status: int) -> dict[str, str]:
    if token.scopes is not None:
        return {"X-OAuth-Scopes": ", ".join(token.scopes), "X-Accepted-OAuth-Scopes": route.scope}
    needed = "; ".join(f"{name}={level}" for name, level in route.rights)
    return {"X-Accepted-GitHub-Permissions": needed} if status == 403 and needed else {}


def _comments(github: Store, request: Request, number: str) -> Reply:
    return 200, page([one for one in github.comments if one["issue"] == int(number)], request.query)


def _too_long(content: Mapping[str, Any]) -> bool:
    return len(content.get("body", "")) > LONGEST_BODY


def _comment(github: Store, request: Request, number: str) -> Reply:
    if _too_long(request.content):
        return refuse(422, f"Body is too long (maximum is {LONGEST_BODY} characters)")
    made = {
        "id": len(github.comments) + 1,
        "issue": int(number),
        "user": {"login": BOT},
        "body": request.content["body"],
    }
    github.comments.append(made)
    return 201, made


def _edit_comment(github: Store, request: Request, number: str) -> Reply:
    found = next((one for one in github.comments if one["id"] == int(number)), None)
    if found is None:
        return not_found()
    found["body"] = request.content["body"]
    return 200, found


def _issues(github: Store, request: Request) -> Reply:
    state = request.query.get("state", "open")
    return 200, page([one for one in github.issues if one["state"] == state], request.query)


def _issue(github: Store, request: Request) -> Reply:
    made = {"number": len(github.issues) + 1, "state": "open", "user": {"login": BOT}, **request.content}
    github.issues.append(made)
    return 201, made


def _edit_issue(github: Store, request: Request, number: str) -> Reply:
    found = next(one for one in github.issues if one["number"] == int(number))
    found.update(request.content)
    return 200, found


def _message(github: Store, request: Request) -> Reply:
    github.messages.append(request.content)
    return 202, None


READ, WRITE = (("issues", "read"), ("pull-requests", "read")), (("issues", "write"), ("pull-requests", "write"))
ROUTES = (
    Route("GET", rf"{IN}/issues/(?P<number>\d+)/comments", READ, _comments),
    Route("POST", rf"{IN}/issues/(?P<number>\d+)/comments", WRITE, _comment),
    Route("PATCH", rf"{IN}/issues/comments/(?P<number>\d+)", WRITE, _edit_comment),
    Route("GET", f"{IN}/issues", (("issues", "read"),), _issues),
    Route("POST", f"{IN}/issues", (("issues", "write"),), _issue),
    Route("PATCH", rf"{IN}/issues/(?P<number>\d+)", (("issues", "write"),), _edit_issue),
    Route("POST", "/_double/webhook", (), _message, is_open=True),
    *github_runs.ROUTES,
    *github_environments.ROUTES,
    *github_rulesets.ROUTES,
    *github_repository.ROUTES,
)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves HTTP on a socket in the file system."""

    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    """Reads requests and writes answers."""

    github: GitHub

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def address_string(self) -> str:
        return ""  # of a Unix socket's client, which has none

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""  # `gh api --input -` sends pieces, each after its length
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body

    def _serve(self) -> None:
        token = (self.headers.get("Authorization") or "").partition(" ")[2]
        answer = self.github.handle(self.command, self.path, token, self._body(), self.headers.get("Host") or "")
        if answer is None:
            self.close_connection = True
            return
        status, content, headers = answer
        is_page = isinstance(content, str)
        sent = b"" if content is None else content.encode() if is_page else json.dumps(content).encode()
        self.send_response(status)
        about = {"Content-Type": "text/html" if is_page else "application/json", "Content-Length": str(len(sent))}
        for name, value in {**headers, **about}.items():
            self.send_header(name, value)
        with contextlib.suppress(ConnectionError):  # of a client that was killed
            self.end_headers()
            self.wfile.write(sent)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - as the base class wants


@contextmanager
def running_github(folder: Path) -> Iterator[GitHub]:
    """Serve GitHub without a repository and settings until the block ends."""
    github = GitHub()
    handler = type("Handler", (Handler,), {"github": github})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler), UnixServer(str(folder / "github.sock"), handler)]
    github.url = f"http://127.0.0.1:{servers[0].server_address[1]}"
    github.socket = str(folder / "github.sock")
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
    try:
        yield github
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
