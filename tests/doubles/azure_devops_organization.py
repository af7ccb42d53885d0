"""Azure DevOps as a person sees it who wires a project: an organization that begins empty.

Environments, checks, approvals and timelines are those of `azure_devops.py`, which jobs see; it also names the sources.
Rules beside its own:

- Creating a project answers 202 with an operation; when it has succeeded, the project is wellFormed a little later
  (SPEC, core; TFADO, resource_project.go). A missing project is 404 with VS800075.
- Lists come in pages: the header `x-ms-continuationtoken` is sent back as `continuationToken` (PYAPI, client.py).
- A service connection is created at the organization's address, and found at the project's. It is not ready at once. It
  shows issuer and subject, which contains its id (DOCS, automate-service-connections.md). Its name is unique.
- An update of a connection is its whole object, and may change its client id (TFADO, its resource for azurerm).
- A pipeline may use an environment or a connection once it is permitted (SPEC, pipelinePermissions).
- A definition is updated as a whole, with its revision; secret values are not shown (SPEC, build).
- A policy of main refuses pushes with TF402455.
- A run waits for approvals, which its timeline names (observed).

A run of `infra` fails unless it may use all that its file names, and each connection is trusted by the identity whose
client id it has; then `apply` builds what was pushed.
"""

import base64
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from doubles.azure_devops import SIGN_IN, AzureDevOps, Fault, json_answer

PAT = "planted-personal-access-token"
ENTRA = "planted-token-of-az"
TENANT = "00000000-0000-4000-8000-000000000002"
ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
PAGE = 2
PREVIEWS = ("pipelines/checks/", "pipelines/pipelinepermissions/")
HOOK = """#!/bin/sh
if [ -f "$GIT_DIR/protected" ]; then
  echo "TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch." >&2
  exit 1
fi
"""


class Refusal(Exception):  # noqa: N818 -- an answer
    """An error in Azure DevOps' form."""

    def __init__(self, status: int, message: str, kind: str = "") -> None:
        super().__init__(message)
        content = {"$id": "1", "innerException": None, "message": message, "typeKey": kind, "errorCode": 0}
        self.answer = json_answer(content, status)


def person(number: int, name: str) -> dict[str, Any]:
    """Return an identity as the directory shows it (SPEC, ims, SearchIdentityByEmail.json)."""
    address = f"{name.lower()}@example.com"
    properties = {key: {"$type": "System.String", "$value": address} for key in ("Account", "Mail")}
    identifier = f"00000000-0000-4000-9000-{number:012}"
    return {"id": identifier, "providerDisplayName": name, "isActive": True, "properties": properties}


PEOPLE = [person(1, "Alice"), person(2, "Bob"), person(3, "Malice")]


@dataclass
class Interruption:
    """Kills the program after a call that changed something.

    Attributes
    ----------
    kill :
        Kills it.
    after :
        After how many such calls.
    """

    kill: Callable[[], None]
    after: int = 1


@dataclass
class Organization(AzureDevOps):
    """The organization "office".

    Attributes
    ----------
    folder :
        Where repositories are.
    trusts :
        Whether an identity, by its client id, trusts an issuer and a subject.
    apply :
        Builds Azure from a repository, by a run of `infra`.
    approved :
        After how many looks at a run a person approves it.
    refusals :
        "METHOD path" -> the answer in place of the double's own, for as long as it is there.
    dropped :
        Calls to carry out without an answer, each once.
    """

    folder: Path = Path()
    trusts: Callable[[str, str, str], bool] = lambda *_: True
    apply: Callable[[Path], bool] = lambda _: True
    approved: int = 2
    projects: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    endpoint_checks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    permissions: dict[str, list[int]] = field(default_factory=dict)
    definitions: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    changes: list[tuple[str, str, Any]] = field(default_factory=list)
    refusals: dict[str, Fault] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    interruption: Interruption | None = None

    @property
    def address(self) -> str:
        return f"{self.url}/office"

    def state(self) -> dict[str, Any]:
        """Return what a person would see, without numbers that depend on the order of calls."""
        names = {one["id"]: one["name"] for one in self.definitions}
        numbers = {str(number): name for number, name in enumerate(self.checks, 1)}
        numbers |= {one["id"]: one["name"] for one in self.endpoints}
        permissions = {
            f"{key.partition('/')[0]} {numbers[key.partition('/')[2]]}": sorted(names[one] for one in pipelines)
            for key, pipelines in self.permissions.items()
        }
        connections = {
            one["name"]: (
                one["authorization"]["parameters"]["serviceprincipalid"],
                _kinds(self.endpoint_checks[one["id"]]),
            )
            for one in self.endpoints
        }
        return {
            "projects": sorted(self.projects),
            "repositories": sorted(self.repositories),
            "environments": {name: _kinds(checks) for name, checks in sorted(self.checks.items())},
            "connections": dict(sorted(connections.items())),
            "permissions": dict(sorted(permissions.items())),
            "pipelines": {
                one["name"]: (one["process"]["yamlFilename"], one["variables"], one["queueStatus"])
                for one in sorted(self.definitions, key=lambda one: str(one["name"]))
            },
            "policies": [
                (
                    one["type"]["id"],
                    {**one["settings"], "buildDefinitionId": names.get(one["settings"].get("buildDefinitionId"))},
                )
                for one in self.policies
            ],
            "runs": [(names[one["pipeline"]], one["result"]) for one in self.runs],
        }

    def repository(self) -> Path:
        """Return the folder of the only repository."""
        [name] = self.repositories
        return self.folder / f"{name}.git"

    # -- Requests

    def respond(self, method: str, target: str, headers: Message, body: bytes) -> Fault | None:
        given = urlsplit(target)
        path = unquote(given.path).removeprefix("/office/")
        is_git = "/_git/" in path
        service = dict(parse_qsl(given.query)).get("service", "") if is_git else ""
        is_change = path.endswith("git-receive-pack") if is_git else method != "GET"
        self.calls.append(f"{method} {path}{f'?{service}' if service else ''}")
        if self.faults:
            return self.faults.pop(0)
        if path == "/sign-in":
            return SIGN_IN
        if not is_known(headers.get("Authorization", "")):
            refused = Fault(401, b"", {"WWW-Authenticate": 'Basic realm="office"'})
            return refused if is_git else self.refuse_login(headers)
        if f"{method} {path}" in self.refusals:
            return self.refusals[f"{method} {path}"]
        content = json.loads(body) if body and not is_git else None
        try:
            answer = (
                self._git(method, target, headers, body) if is_git else self._answer(method, path, given.query, content)
            )
        except Refusal as refusal:
            return refusal.answer
        if is_change:
            self.changes.append((method, path, content))
            if self._is_interrupted():
                return None
        if f"{method} {path}" in self.dropped:
            self.dropped.remove(f"{method} {path}")
            return None
        return answer

    def _is_interrupted(self) -> bool:
        """Kill the program if it is time to; it does not see the answer."""
        if self.interruption is None:
            return False
        self.interruption.after -= 1
        if self.interruption.after:
            return False
        self.interruption.kill()
        return True

    def _answer(self, method: str, path: str, text: str, content: Any) -> Fault:
        query = dict(parse_qsl(text))
        project, _, rest = path.partition("_apis/")
        expected = "7.1-preview.1" if rest.startswith(PREVIEWS) else "7.1"
        if query.get("api-version") != expected:
            raise Refusal(400, f"VssVersionOutOfRangeException: {path} needs version {expected}")
        if not project:
            return self._of_organization(method, rest, query, content)
        name = project.rstrip("/")
        found = self.projects.get(name)
        if found is None or found["state"] != "wellFormed":
            raise Refusal(
                404,
                f"VS800075: The project with id '{name}' does not exist, or you do not have permission to access it.",
            )
        return self._of_project(method, rest, query, content)

    # -- The organization

    def _of_organization(self, method: str, path: str, query: dict[str, str], content: Any) -> Fault:
        match (method, *path.split("/")):
            case "GET", "projects", name:
                return self._project(name)
            case "POST", "projects":
                return self._create_project(content)
            case "GET", "operations", identifier:
                self.operations[identifier] += 1
                is_done = self.operations[identifier] > 1
                return json_answer({"id": identifier, "status": "succeeded" if is_done else "inProgress"})
            case "GET", "process", "processes":
                return page([{"id": "basic", "isDefault": False}, {"id": "agile", "isDefault": True}], query)
            case "GET", "identities":
                who = query["filterValue"].lower()
                assert query["searchFilter"] == "General"
                return page([one for one in PEOPLE if who in json.dumps(one).lower()], query)
            case "POST", "serviceendpoint", "endpoints":
                return self._create_endpoint(content)
            case "PUT", "serviceendpoint", "endpoints", identifier:
                return self._update_endpoint(identifier, content)
            case "DELETE", "serviceendpoint", "endpoints", identifier:
                assert query["projectIds"] == "id-of-Credit Risk"
                self.endpoints = [one for one in self.endpoints if one["id"] != identifier]
                self.permissions.pop(f"endpoint/{identifier}", None)
                return json_answer(None, 204)
        raise Refusal(404, f"The double has no answer to {method} {path}")

    def _project(self, name: str) -> Fault:
        found = self.projects.get(name)
        if found is None:
            raise Refusal(
                404,
                f"VS800075: The project with id '{name}' does not exist, or you do not have permission to access it.",
            )
        found["looks"] += 1
        if found["looks"] > 2:
            found["state"] = "wellFormed"
        return json_answer({key: found[key] for key in ("id", "name", "state")})

    def _create_project(self, content: Any) -> Fault:
        name = content["name"]
        if name in self.projects:
            raise Refusal(409, f"TF200019: The following project already exists on the server: {name}.")
        assert content["capabilities"] == {
            "versioncontrol": {"sourceControlType": "Git"},
            "processTemplate": {"templateTypeId": "agile"},
        }
        self.projects[name] = {"id": f"id-of-{name}", "name": name, "state": "new", "looks": 0}
        self.operations["operation-1"] = 0
        return json_answer({"id": "operation-1", "status": "queued"}, 202)

    def _create_endpoint(self, content: Any) -> Fault:
        reference = {"id": "id-of-Credit Risk", "name": "Credit Risk"}
        assert content["serviceEndpointProjectReferences"] == [{"name": content["name"], "projectReference": reference}]
        assert content["authorization"]["scheme"] == "WorkloadIdentityFederation"
        if any(one["name"] == content["name"] for one in self.endpoints):
            raise Refusal(409, f"Service connection with name {content['name']} already exists.")
        number = len(self.endpoints) + 1
        identifier = f"00000000-0000-4000-a000-{number:012}"
        state = {"isReady": False, "operationStatus": {"state": "InProgress"}, "looks": 0}
        self.endpoints.append({**content, "id": identifier, **state})
        self.endpoint_checks[identifier] = []
        return json_answer(shown(self.endpoints[-1]))

    def _update_endpoint(self, identifier: str, content: Any) -> Fault:
        [found] = [one for one in self.endpoints if one["id"] == identifier]
        assert content["id"] == identifier
        assert content["serviceEndpointProjectReferences"] == found["serviceEndpointProjectReferences"]
        found.update({key: content[key] for key in ("name", "data", "authorization")})
        return json_answer(shown(found))

    # -- The project

    def _of_project(self, method: str, path: str, query: dict[str, str], content: Any) -> Fault:
        match (method, *path.split("/")):
            case "GET", "git", "repositories", name:
                if name not in self.repositories:
                    raise Refusal(404, f"TF401019: The Git repository with name or identifier {name} does not exist.")
                return json_answer(self.repositories[name])
            case "POST", "git", "repositories":
                return self._create_repository(content)
            case "GET", "serviceendpoint", "endpoints":
                return self._endpoints(query)
            case "GET", "distributedtask", "environments":
                return json_answer(self._environments(query.get("name", "")))
            case "POST", "distributedtask", "environments":
                if content["name"] in self.checks:
                    raise Refusal(409, f"Environment with name {content['name']} already exists.")
                self.checks[content["name"]] = []
                return json_answer({"id": len(self.checks), **content})
            case method, "pipelines", "checks", "configurations", *rest:
                return self._configurations(method, rest, query, content)
            case method, "pipelines", "pipelinepermissions", kind, identifier:
                return self._permissions(method, f"{kind}/{identifier}", content)
            case "POST", "pipelines":
                return self._create_pipeline(content)
            case "GET", "pipelines", number, "runs":
                return page([one for one in self.runs if one["pipeline"] == int(number)], query)
            case "POST", "pipelines", number, "runs":
                return self._start(int(number), content)
            case "GET", "pipelines", _, "runs", number:
                return json_answer(self._look_at_run(int(number)))
            case "GET", "pipelines", "approvals", identifier:
                return json_answer(self._approval(identifier, query.get("$expand") == "steps"))
            case "GET", "build", "builds", number, "timeline":
                return json_answer({"records": self._timeline(int(number))})
            case "GET", "build", "definitions":
                listed = [{"id": one["id"], "name": one["name"]} for one in self.definitions]
                return page([one for one in listed if query.get("name", one["name"]) == one["name"]], query)
            case method, "build", "definitions", number:
                return self._definition(method, int(number), content)
            case "GET", "git", "policy", "configurations":
                assert query["refName"] == "refs/heads/main"
                assert query["repositoryId"].startswith("id-of-")
                return page(self.policies, query)
            case "POST", "policy", "configurations":
                self.policies.append({"id": len(self.policies) + 1, **content})
                (self.repository() / "protected").touch()
                return json_answer(self.policies[-1])
            case "DELETE", "policy", "configurations", number:
                self.policies = [one for one in self.policies if one["id"] != int(number)]
                return json_answer(None, 204)
        raise Refusal(404, f"The double has no answer to {method} {path}")

    def _create_repository(self, content: Any) -> Fault:
        name = content["name"]
        if name in self.repositories:
            raise Refusal(409, f"TF400948: A Git repository with the name {name} already exists.")
        assert content["project"] == {"id": "id-of-Credit Risk"}
        self.repositories[name] = {"id": f"id-of-{name}", "name": name}
        folder = self.folder / f"{name}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", folder], check=True)
        (folder / "hooks" / "pre-receive").write_text(HOOK, encoding="utf-8")
        (folder / "hooks" / "pre-receive").chmod(0o755)
        return json_answer(self.repositories[name], 201)

    def _endpoints(self, query: dict[str, str]) -> Fault:
        found = [one for one in self.endpoints if query["endpointNames"] == one["name"]]
        for one in found:
            one["looks"] += 1
            if one["looks"] > 2 and one["operationStatus"]["state"] == "InProgress":
                one.update(isReady=True, operationStatus={"state": "Ready"})
        return json_answer({"count": len(found), "value": [shown(one) for one in found]})

    def _configurations(self, method: str, rest: list[str], query: dict[str, str], content: Any) -> Fault:
        if method == "GET":
            found = self._checks_of(query["resourceType"], query["resourceId"])
            hidden = () if query.get("$expand") == "settings" else ("settings",)
            value = [{key: one[key] for key in one if key not in hidden} for one in found]
            return json_answer({"count": len(value), "value": value})
        place = content["resource"]
        there = self._checks_of(place["type"], place["id"])
        if method == "POST":
            number = 1 + sum(map(len, [*self.checks.values(), *self.endpoint_checks.values()]))
            there.append({"id": number, **content})
            return json_answer(there[-1])
        assert method == "PATCH"
        [known] = [one for one in there if str(one["id"]) == rest[0]]
        known.update(content)
        return json_answer(known)

    def _checks_of(self, kind: str, identifier: str) -> list[dict[str, Any]]:
        if kind == "environment":
            return list(self.checks.values())[int(identifier) - 1]
        assert kind == "endpoint"
        return self.endpoint_checks[identifier]

    def _permissions(self, method: str, key: str, content: Any) -> Fault:
        known = self.permissions.setdefault(key, [])
        if method == "PATCH":
            known += [one["id"] for one in content["pipelines"] if one["authorized"] and one["id"] not in known]
        return json_answer({"pipelines": [{"id": one, "authorized": True} for one in known]})

    # -- Pipelines and runs

    def _create_pipeline(self, content: Any) -> Fault:
        if any(one["name"] == content["name"] for one in self.definitions):
            raise Refusal(409, f"The pipeline {content['name']} already exists.")
        given = content["configuration"]
        assert given["repository"]["type"] == "azureReposGit"
        definition = {
            "id": len(self.definitions) + 1,
            "name": content["name"],
            "revision": 1,
            "queueStatus": "enabled",
            "process": {"type": 2, "yamlFilename": given["path"]},
            "repository": {"id": given["repository"]["id"], "type": "TfsGit"},
            "variables": {},
        }
        self.definitions.append(definition)
        return json_answer({"id": definition["id"], "name": definition["name"], "revision": 1})

    def _definition(self, method: str, number: int, content: Any) -> Fault:
        [found] = [one for one in self.definitions if one["id"] == number]
        if method == "PUT":
            if content["revision"] != found["revision"]:
                raise Refusal(409, "The pipeline was changed since it was read.")
            variables = {
                name: {**found["variables"].get(name, {}), **one} for name, one in content["variables"].items()
            }
            found.update(content, revision=found["revision"] + 1, variables=variables)
        hidden = {
            name: {key: one[key] for key in one if key != "value" or not one.get("isSecret")}
            for name, one in found["variables"].items()
        }
        return json_answer({**found, "variables": hidden})

    def _start(self, number: int, content: Any) -> Fault:
        assert content == {"resources": {"repositories": {"self": {"refName": "refs/heads/main"}}}}
        run = {"id": len(self.runs) + 100, "pipeline": number, "state": "inProgress", "result": None, "looks": 0}
        self.runs.append(run)
        return json_answer(run)

    def _look_at_run(self, number: int) -> dict[str, Any]:
        [run] = [one for one in self.runs if one["id"] == number]
        [definition] = [one for one in self.definitions if one["id"] == run["pipeline"]]
        run["looks"] += 1
        if definition["name"] == "infra" and run["state"] == "inProgress":
            self.approvals[f"approval-{number}"] = ("apply_production", "pending", [])
            if run["looks"] > self.approved:
                self.approvals[f"approval-{number}"] = ("apply_production", "approved", [])
                worked = self._may_run(run["pipeline"]) and self.apply(self.repository())
                run.update(state="completed", result="succeeded" if worked else "failed")
        return run

    def _timeline(self, number: int) -> list[dict[str, Any]]:
        self.stages = ("plan_staging", "apply_staging", "plan_production", "apply_production")
        return [
            one for one in self._records() if one["type"] != "Checkpoint.Approval" or one["id"] == f"approval-{number}"
        ]

    def _may_run(self, number: int) -> bool:
        """Return whether `infra` may use what its file names, and can log in."""
        environments = list(self.checks)
        names = [f"{name}-{role}" for name in ("staging", "production") for role in ("plan", "infra")]
        found = {one["name"]: one for one in self.endpoints}
        return all(
            number in self.permissions.get(f"endpoint/{found[name]['id']}", ())
            and self.trusts(
                found[name]["authorization"]["parameters"]["serviceprincipalid"], ISSUER, subject(found[name])
            )
            for name in names
        ) and all(
            number in self.permissions.get(f"environment/{environments.index(f'{name}-infra') + 1}", ())
            for name in ("staging", "production")
        )

    # -- Git

    def _git(self, method: str, target: str, headers: Message, body: bytes) -> Fault:
        """Let git's own server answer."""
        given = urlsplit(target)
        name, _, rest = unquote(given.path).partition("/_git/")[2].partition("/")
        if name not in self.repositories:
            return Fault(404, b"")
        variables = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{name}.git/{rest}",
            "QUERY_STRING": given.query,
            "REQUEST_METHOD": method,
            "CONTENT_TYPE": headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
            "REMOTE_USER": "person",
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=variables, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        shown = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(shown.pop("Status", "200").split()[0])
        return Fault(status, content, shown)


def is_known(login: str) -> bool:
    return login in (f"Bearer {ENTRA}", "Basic " + base64.b64encode(f":{PAT}".encode()).decode())


def subject(endpoint: dict[str, Any]) -> str:
    """Return the subject of a connection's tokens, in the form that new connections have."""
    return f"/eid1/c/pub/t/tenant/a/application/sc/organization/{endpoint['id']}"


def shown(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return a connection as it is read."""
    given = endpoint["authorization"]
    added = {"workloadIdentityFederationIssuer": ISSUER, "workloadIdentityFederationSubject": subject(endpoint)}
    authorization = {**given, "parameters": {**given["parameters"], **added}}
    return {**{key: endpoint[key] for key in endpoint if key != "looks"}, "authorization": authorization}


def page(items: list[dict[str, Any]], query: dict[str, str]) -> Fault:
    """Return a page of a list, and a token for the next."""
    begin = int(query.get("continuationToken", 0))
    value = items[begin : begin + PAGE]
    more = begin + PAGE < len(items)
    return json_answer(
        {"count": len(value), "value": value}, 200, {"x-ms-continuationtoken": str(begin + PAGE)} if more else {}
    )


def _kinds(checks: list[dict[str, Any]]) -> list[Any]:
    kinds = [
        (
            one["settings"].get("displayName") or one["type"]["id"],
            one["settings"].get("approvers"),
            one["settings"].get("inputs"),
        )
        for one in checks
    ]
    return sorted(kinds, key=str)
