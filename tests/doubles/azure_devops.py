"""Azure DevOps as a job of Azure Pipelines sees it: environments, checks, approvals, timelines and threads.

SPEC is MicrosoftDocs/vsts-rest-api-specs, TFADO microsoft/terraform-provider-azuredevops, PYAPI
microsoft/azure-devops-python-api. Rules:

- Every call needs `api-version`; that of checks is a preview and must be written so (SPEC, x-ms-docs-override-version).
- Checks come without their settings unless `$expand=settings`, approvals without steps unless `$expand=steps` (SPEC).
- All checks that are tasks have one type; what they do is `settings.definitionRef` (TFADO, resource_check_*.go).
- Without `X-TFS-FedAuthRedirect: Suppress`, a bad token is answered by a redirect to a page; with it, by 401 (PYAPI,
  client.py).
- An error is `{"message", "typeKey", ...}` (PYAPI, WrappedException).
- A run's approvals are records of its timeline, below a Checkpoint below the Stage (observed in public clients).
- A deleted thread stays in the list, with isDeleted (SPEC, git).

That a Stage record's identifier is the stage's name in the YAML is observed, not documented.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

TOKEN = "token-of-the-job"  # noqa: S105 -- the double's own
APPROVAL = {"type": {"id": "8c6f20a7-a545-4486-9777-f762fafe0d4d", "name": "Approval"}, "settings": {"approvers": []}}


def task_check(definition: str, name: str) -> dict[str, Any]:
    """Return a check that is a task."""
    settings = {"displayName": name, "definitionRef": {"id": definition, "name": name, "version": "0.0.1"}}
    return {"type": {"id": "fe1de3ee-a436-41b4-bb20-f6eb4cb879a7", "name": "Task Check"}, "settings": settings}


BRANCH_CONTROL = task_check("86b05a0c-73e6-4f7d-b3cf-e38f3b39a75b", "evaluatebranchProtection")
BUSINESS_HOURS = task_check("445fde2f-6c39-441c-807f-8a59ff2e075f", "evaluateBusinessHours")


def step(status: str, who: str = "") -> dict[str, Any]:
    """Return a step of an approval: one approver's part."""
    actual = {"displayName": who, "id": f"id-of-{who}"} if who else None
    return {"assignedApprover": {"displayName": "Releasers"}, "actualApprover": actual, "status": status}


@dataclass
class Fault:
    """An answer in place of the double's own."""

    status: int
    body: bytes = b'{"message": "TF400733: The request has been canceled."}'
    headers: dict[str, str] = field(default_factory=dict)


SIGN_IN = Fault(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Fault:
    body = b"" if content is None else json.dumps(content).encode()
    return Fault(status, body, {"Content-Type": "application/json", **(headers or {})})


@dataclass
class AzureDevOps:
    """A project's state, and the calls so far as "METHOD path".

    Attributes
    ----------
    checks :
        The checks of each environment.
    stages :
        The stages of run 7, by their names in the YAML.
    approvals :
        Id -> the stage that waited for it, its status and its steps.
    faults :
        Answers to the next calls.
    """

    url: str
    checks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    stages: tuple[str, ...] = ("staging", "production")
    approvals: dict[str, tuple[str, str, list[dict[str, Any]]]] = field(default_factory=dict)
    threads: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def job(self, **changes: str) -> dict[str, str]:
        """Return the variables of a job of run 7, in the stage production, with the job's token mapped."""
        return {
            "TF_BUILD": "True",
            "SYSTEM_COLLECTIONURI": f"{self.url}/office/",
            "SYSTEM_TEAMPROJECT": "Credit Risk",
            "SYSTEM_STAGENAME": "production",
            "SYSTEM_ACCESSTOKEN": TOKEN,
            "SYSTEM_PULLREQUEST_PULLREQUESTID": "12",
            "BUILD_BUILDID": "7",
            "BUILD_REPOSITORY_ID": "repository-id",
            "BUILD_REPOSITORY_PROVIDER": "TfsGit",
            **changes,
        }

    def respond(self, method: str, target: str, headers: Message, body: bytes) -> Fault | None:
        """Return the answer to a request, or None to drop the connection."""
        given = urlsplit(target)
        path = unquote(given.path).removeprefix("/office/Credit Risk/_apis/")
        self.calls.append(f"{method} {path}")
        if self.faults:
            return self.faults.pop(0)
        if path == "/sign-in":
            return SIGN_IN
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse_login(headers)
        try:
            content = json.loads(body) if body else None
            return json_answer(self.answer(method, path, dict(parse_qsl(given.query)), content))
        except LookupError as error:
            return json_answer({"message": str(error), "typeKey": "NotFound"}, 404)

    def refuse_login(self, headers: Message) -> Fault:
        """Return what a bad token gets: 401 only with the header that suppresses the page to sign in."""
        suppressed = headers.get("X-TFS-FedAuthRedirect") == "Suppress"
        return Fault(401 if suppressed else 302, b"", {"Location": f"{self.url}/sign-in"})

    def answer(self, method: str, path: str, query: dict[str, str], content: Any) -> Any:
        """Return the answer to a call below `/office/Credit Risk/_apis/`."""
        preview = "-preview.1" if "checks/" in path else ""
        if query.get("api-version") != f"7.1{preview}":
            raise LookupError(f"VssVersionOutOfRangeException: {path} needs version 7.1{preview}")
        match (method, *path.split("/")):
            case "GET", "distributedtask", "environments":
                return self._environments(query.get("name", ""))
            case "GET", "pipelines", "checks", "configurations":
                return self._checks(query)
            case "GET", "build", "builds", "7", "timeline":
                return {"records": self._records()}
            case "GET", "pipelines", "approvals", identifier:
                return self._approval(identifier, query.get("$expand") == "steps")
            case method, "git", "repositories", "repository-id", "pullRequests", "12", "threads", *rest:
                return self._thread(method, rest, content)
        raise LookupError(f"The double has no answer to {method} {path}")

    def _environments(self, name: str) -> Any:
        found = [{"id": number, "name": one} for number, one in enumerate(self.checks, 1) if name in ("", one)]
        return {"count": len(found), "value": found}

    def _checks(self, query: dict[str, str]) -> Any:
        assert query["resourceType"] == "environment"
        found = list(self.checks.values())[int(query["resourceId"]) - 1]
        if query.get("$expand") != "settings":
            found = [{"type": check["type"]} for check in found]
        return {"count": len(found), "value": found}

    def _records(self) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        for stage in self.stages:
            records += [
                {"id": f"stage-{stage}", "parentId": None, "type": "Stage", "name": stage.title(), "identifier": stage},
                {"id": f"checks-{stage}", "parentId": f"stage-{stage}", "type": "Checkpoint", "name": "Checkpoint"},
                {"id": f"phase-{stage}", "parentId": f"stage-{stage}", "type": "Phase", "name": "release"},
            ]
        return records + [
            {"id": identifier, "parentId": f"checks-{stage}", "type": "Checkpoint.Approval"}
            for identifier, (stage, _, _) in self.approvals.items()
        ]

    def _approval(self, identifier: str, expand: bool) -> Any:
        _, status, steps = self.approvals[identifier]
        return {"id": identifier, "status": status, "steps": steps if expand else []}

    def _thread(self, method: str, rest: list[str], content: Any) -> Any:
        if method == "GET":
            return {"count": len(self.threads), "value": self.threads}
        if method == "POST":
            properties = {
                name: {"$type": "System.String", "$value": value} for name, value in content["properties"].items()
            }
            comments = [{"id": 1, "content": content["comments"][0]["content"]}]
            thread = {"id": len(self.threads) + 1, "comments": comments, "properties": properties}
            self.threads.append({**thread, "status": content["status"], "isDeleted": False})
            return self.threads[-1]
        number, _, comment = rest
        [found] = [thread for thread in self.threads if thread["id"] == int(number)]
        found["comments"][int(comment) - 1] |= content
        return found["comments"][int(comment) - 1]


class Site(Protocol):
    """What `serving` serves."""

    url: str

    def respond(self, method: str, target: str, headers: Message, body: bytes) -> Fault | None:
        """Return the answer to a request, or None to drop the connection."""


Served = TypeVar("Served", bound=Site)


@contextmanager
def running_azure_devops() -> Iterator[AzureDevOps]:
    """Serve a project on this machine until the block ends."""
    with serving(AzureDevOps("")) as double:
        yield double


@contextmanager
def serving(double: Served) -> Iterator[Served]:
    """Serve a double on this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = double.respond(self.command, self.path, self.headers, body)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 -- the names that http.server calls

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        double.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        try:
            yield double
        finally:
            server.shutdown()
