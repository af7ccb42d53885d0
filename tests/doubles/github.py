"""The part of GitHub that a rendered project's workflows call: environments, approvals, comments, issues, dispatches.

Plain HTTP on the loopback, and on a Unix socket for `gh`. Every token belongs to a job and has the permissions of its
workflow file. Sources: paths, rights and answers from GitHub's OpenAPI description and its table of permissions for
fine-grained tokens; "Resource not accessible by integration" and X-Accepted-GitHub-Permissions from "Troubleshooting
the REST API"; "Body is too long" from telia-oss/github-pr-resource#259.
"""

import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT = "github-actions[bot]"
LONGEST_BODY = 65_536
POLL_SECONDS = 0.02  # until a server sees that it shall stop
LEVELS = ("none", "read", "write")
Reply = tuple[int, Any]


@dataclass(frozen=True)
class Token:
    """A job's token: which job it belongs to, and what it may do."""

    job: str
    permissions: Mapping[str, str]

    def may(self, *needed: tuple[str, str]) -> bool:
        """Return whether one of the rights is enough."""
        return any(LEVELS.index(self.permissions.get(name, "none")) >= LEVELS.index(level) for name, level in needed)


@dataclass
class Environment:
    """An environment's settings: who reviews, which branches may deploy, its variables and its secrets."""

    reviewers: tuple[str, ...] = ()
    branches: tuple[str, ...] | None = ("main",)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    decision: tuple[str, str] | None = None  # who decides about a waiting run, and how: approved or rejected
    meanwhile: Callable[[], None] | None = None  # what happens while a run waits


@dataclass(frozen=True)
class Call:
    """A recorded call: the token's job, the request and the answer's status."""

    job: str
    method: str
    path: str
    status: int
    body: Any


@dataclass
class GitHub:
    """A repository on GitHub."""

    environments: dict[str, Environment] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    approvals: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by run
    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    dispatches: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    workflows: list[str] = field(default_factory=list)  # by id
    calls: list[Call] = field(default_factory=list)
    faults: list[tuple[int, dict[str, str]] | None] = field(
        default_factory=list
    )  # the next answers; None: the real one
    url: str = ""
    socket: str = ""

    def handle(self, method: str, target: str, token: str, content: Any) -> tuple[int, Any, dict[str, str]]:
        """Answer a request: status, content and headers."""
        path = urlsplit(target).path
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        known = self.tokens.get(token, Token("", {}))
        fault = self.faults.pop(0) if self.faults and not path.startswith("/_double") else None
        if fault:
            status, headers = fault
            self.calls.append(Call(known.job, method, path, status, content))
            return status, {"message": "a planted fault"}, headers
        for route in ROUTES:
            found = re.fullmatch(route.pattern, path)
            if not found or route.method != method:
                continue
            if route.rights and not known.job:
                status, answer, headers = 401, {"message": "Bad credentials", "status": "401"}, {}
            elif route.rights and not known.may(*route.rights):
                status, answer = 403, {"message": "Resource not accessible by integration", "status": "403"}
                needed = "; ".join(f"{name}={level}" for name, level in route.rights)
                headers = {"X-Accepted-GitHub-Permissions": needed}
            else:
                (status, answer), headers = route.answer(self, query, content, **found.groupdict()), {}
            break
        else:
            status, answer, headers = 404, {"message": "Not Found", "status": "404"}, {}
        self.calls.append(Call(known.job, method, path, status, content))
        return status, answer, headers


@dataclass(frozen=True)
class Route:
    """One kind of request, and the rights of which its token must have one; none are needed without."""

    method: str
    pattern: str
    rights: tuple[tuple[str, str], ...]
    answer: Callable[..., Reply]


def _environment(github: GitHub, _query: Any, _content: Any, name: str) -> Reply:
    found = github.environments.get(name)
    if found is None:
        return 404, {"message": "Not Found", "status": "404"}
    rules: list[dict[str, Any]] = []
    if found.reviewers:
        reviewers = [{"type": "User", "reviewer": {"login": login}} for login in found.reviewers]
        rules.append({"type": "required_reviewers", "prevent_self_review": True, "reviewers": reviewers})
    policy = None
    if found.branches is not None:
        rules.append({"type": "branch_policy"})
        policy = {"protected_branches": False, "custom_branch_policies": True}
    return 200, {"name": name, "protection_rules": rules, "deployment_branch_policy": policy}


def _gate(github: GitHub, query: Mapping[str, str], _content: Any, name: str, run: str) -> Reply:
    """Let a job begin that names an environment, as its branches and reviewers decide before it gets a runner."""
    found = github.environments.setdefault(name, Environment(branches=None))  # GitHub creates it, unprotected
    if found.branches is not None and query["ref"].removeprefix("refs/heads/") not in found.branches:
        return 403, {"message": f"Branch {query['ref']} is not allowed to deploy to {name}"}
    if not found.reviewers:
        return 200, {}
    assert found.decision, f"nobody decides about {name}"
    if found.meanwhile:
        found.meanwhile()
    who, state = found.decision
    review = {"state": state, "comment": "", "user": {"login": who}, "environments": [{"name": name}]}
    github.approvals.setdefault(run, []).append(review)
    return (200 if state == "approved" else 403), review


def _approvals(github: GitHub, _query: Any, _content: Any, run: str) -> Reply:
    return 200, github.approvals.get(run, [])


def _page(items: list[dict[str, Any]], query: Mapping[str, str]) -> Reply:
    size, number = int(query.get("per_page", "30")), int(query.get("page", "1"))
    return 200, items[size * (number - 1) : size * number]


def _comments(github: GitHub, query: Mapping[str, str], _content: Any, number: str) -> Reply:
    return _page([one for one in github.comments if one["issue"] == int(number)], query)


def _too_long(content: Mapping[str, Any]) -> bool:
    return len(content.get("body", "")) > LONGEST_BODY


def _comment(github: GitHub, _query: Any, content: dict[str, Any], number: str) -> Reply:
    if _too_long(content):
        return 422, {"message": f"Body is too long (maximum is {LONGEST_BODY} characters)", "status": "422"}
    made = {"id": len(github.comments) + 1, "issue": int(number), "user": {"login": BOT}, "body": content["body"]}
    github.comments.append(made)
    return 201, made


def _edit_comment(github: GitHub, _query: Any, content: dict[str, Any], number: str) -> Reply:
    found = next((one for one in github.comments if one["id"] == int(number)), None)
    if found is None:
        return 404, {"message": "Not Found", "status": "404"}
    found["body"] = content["body"]
    return 200, found


def _issues(github: GitHub, query: Mapping[str, str], _content: Any) -> Reply:
    return _page([one for one in github.issues if one["state"] == query.get("state", "open")], query)


def _issue(github: GitHub, _query: Any, content: dict[str, Any]) -> Reply:
    made = {"number": len(github.issues) + 1, "state": "open", "user": {"login": BOT}, **content}
    github.issues.append(made)
    return 201, made


def _edit_issue(github: GitHub, _query: Any, content: dict[str, Any], number: str) -> Reply:
    found = next(one for one in github.issues if one["number"] == int(number))
    found.update(content)
    return 200, found


def _workflow(github: GitHub, _query: Any, _content: Any, name: str) -> Reply:
    if name not in github.workflows:
        github.workflows.append(name)
    path = f".github/workflows/{name}"
    return 200, {"id": github.workflows.index(name), "name": name, "path": path, "state": "active"}


def _dispatch(github: GitHub, _query: Any, content: dict[str, Any], name: str) -> Reply:
    known = github.workflows[int(name)] if name.isdecimal() else name  # by its id, as `gh` does, or by its file
    github.dispatches.append({"workflow": known, **content})
    return 204, None


def _message(github: GitHub, _query: Any, content: dict[str, Any]) -> Reply:
    github.messages.append(content)
    return 202, None


IN = r"/repos/[^/]+/[^/]+"
READ, WRITE = (("issues", "read"), ("pull-requests", "read")), (("issues", "write"), ("pull-requests", "write"))
ROUTES = (
    Route("GET", f"{IN}/environments/(?P<name>[^/]+)", (("actions", "read"),), _environment),
    Route("GET", rf"{IN}/actions/runs/(?P<run>\d+)/approvals", (("actions", "read"),), _approvals),
    Route("GET", rf"{IN}/issues/(?P<number>\d+)/comments", READ, _comments),
    Route("POST", rf"{IN}/issues/(?P<number>\d+)/comments", WRITE, _comment),
    Route("PATCH", rf"{IN}/issues/comments/(?P<number>\d+)", WRITE, _edit_comment),
    Route("GET", f"{IN}/issues", (("issues", "read"),), _issues),
    Route("POST", f"{IN}/issues", (("issues", "write"),), _issue),
    Route("PATCH", rf"{IN}/issues/(?P<number>\d+)", (("issues", "write"),), _edit_issue),
    Route("GET", rf"{IN}/actions/workflows/(?P<name>[\w.-]+)", (("actions", "read"),), _workflow),
    Route("POST", rf"{IN}/actions/workflows/(?P<name>[\w.-]+)/dispatches", (("actions", "write"),), _dispatch),
    Route("POST", r"/_double/runs/(?P<run>\d+)/(?P<name>[^/]+)", (), _gate),
    Route("POST", "/_double/webhook", (), _message),
)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves HTTP on a socket in the file system."""

    daemon_threads = True


@contextmanager
def running_github(folder: Path) -> Iterator[GitHub]:
    """Serve a repository without settings until the block ends."""
    github = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Log nothing."""

        def address_string(self) -> str:
            return ""  # of a Unix socket's client, which has none

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = (self.headers.get("Authorization") or "").partition(" ")[2]
            status, content, headers = github.handle(self.command, self.path, token, json.loads(body or b"null"))
            sent = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json", "Content-Length": len(sent)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815 - as the base class wants

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler), UnixServer(str(folder / "github.sock"), Handler)]
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
