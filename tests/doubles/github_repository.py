"""GitHub's users, organizations and repositories, and the settings of a repository's Actions.

Sources besides the OpenAPI description: the refusal of a taken name, dyad-sh/dyad#1914; the id of the app of Actions,
apache/infrastructure-asfyaml#64; subjects, Azure/azure-dev#9382 and its #7705, and that Enterprise Server has no ids in
them; gh's GraphQL, cli/cli `pkg/cmd/secret/set/http.go`.
"""

import re
from typing import Any

from doubles.github_store import IN, Account, Reply, Repository, Request, Route, Store, not_found, refuse

# The settings of Actions: the values that a repository begins with, and what a change must have.
DEFAULTS: dict[str, dict[str, Any]] = {
    "": {"enabled": True, "allowed_actions": "all", "sha_pinning_required": False},
    "/selected-actions": {"github_owned_allowed": True, "verified_allowed": False, "patterns_allowed": []},
    "/workflow": {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False},
    "/fork-pr-contributor-approval": {"approval_policy": "first_time_contributors"},
    "/fork-pr-workflows-private-repos": {
        "run_workflows_from_fork_pull_requests": False,
        "send_write_tokens_to_workflows": False,
        "send_secrets_and_variables": False,
        "require_approval_for_fork_pr_workflows": False,
    },
}
REQUIRED = {
    "": "enabled",
    "/fork-pr-contributor-approval": "approval_policy",
    "/fork-pr-workflows-private-repos": "run_workflows_from_fork_pull_requests",
}
CHOICES: dict[str, tuple[Any, ...]] = {
    "allowed_actions": ("all", "local_only", "selected"),
    "default_workflow_permissions": ("read", "write"),
    "approval_policy": (
        "first_time_contributors_new_to_github",
        "first_time_contributors",
        "all_external_contributors",
    ),
}


def _account(account: Account) -> dict[str, Any]:
    return {"login": account.login, "id": account.id, "type": account.type}


def _user(github: Store, request: Request) -> Reply:
    return _named(github, request, request.token.login)


def _named(github: Store, _: Request, login: str) -> Reply:
    found = github.account(login)
    return (200, _account(found)) if found else not_found()


def _team(github: Store, _: Request, organization: str, slug: str) -> Reply:
    found = github.team(f"{organization}/{slug}")
    return (200, {"id": found, "slug": slug, "name": slug}) if found else not_found()


def _app(*_: Any) -> Reply:
    return 200, {"id": 15368, "slug": "github-actions", "name": "GitHub Actions"}


def _described(found: Repository, request: Request) -> dict[str, Any]:
    role = found.roles.get(request.token.login, "read")
    return {
        "id": found.id,
        "name": found.name,
        "full_name": found.full_name,
        "owner": _account(found.owner),
        "private": found.private,
        "visibility": "private" if found.private else "public",
        "default_branch": found.default_branch,
        "html_url": f"{request.server}/{found.full_name}",
        "permissions": {"admin": role == "admin", "push": role in ("admin", "write"), "pull": True},
    }


def _repository(github: Store, request: Request) -> Reply:
    return 200, _described(github.existing, request)


def _change(github: Store, request: Request) -> Reply:
    found = github.existing
    found.default_branch = request.content.get("default_branch", found.default_branch)
    found.private = request.content.get("private", found.private)
    return _repository(github, request)


def _create(github: Store, request: Request, organization: str = "") -> Reply:
    owner = github.account(organization or request.token.login)
    if owner is None or (owner.type == "Organization") != bool(organization):
        return not_found()
    content = request.content
    if "name" not in content:
        return refuse(422, "Invalid request")
    if github.repository and github.repository.full_name.lower() == f"{owner.login}/{content['name']}".lower():
        taken = {"resource": "Repository", "code": "custom", "field": "name"}
        reason = {**taken, "message": "name already exists on this account"}
        return refuse(422, "Repository creation failed.", reason)
    private = content.get("private", content.get("visibility") == "private")
    return 201, _described(github.create(owner.login, content["name"], request.token.login, private), request)


def _setting(github: Store, _: Request, name: str) -> Reply:
    if name == "/selected-actions" and _allowed(github) != "selected":
        return refuse(409, "Conflict")
    return 200, DEFAULTS[name] | github.actions.get(name, {})


def _allowed(github: Store) -> str:
    return str((DEFAULTS[""] | github.actions.get("", {}))["allowed_actions"])


def _set(github: Store, request: Request, name: str) -> Reply:
    content = request.content
    wrong = any(content[key] not in values for key, values in CHOICES.items() if key in content)
    if wrong or content.keys() - DEFAULTS[name].keys() or REQUIRED.get(name, "") not in {"", *content}:
        return refuse(422, "Invalid request")
    if name in github.forbidden or (name == "/selected-actions" and _allowed(github) != "selected"):
        return refuse(409, "Conflict")
    github.actions[name] = github.actions.get(name, {}) | content
    return 204, None


def _subject(github: Store, request: Request) -> Reply:
    if github.subject is None:
        return not_found()
    prefix = github.subject_prefix()
    if prefix is None or not request.host.endswith(("github.com", ".ghe.com")):
        return 200, github.subject
    return 200, {"use_immutable_subject": False, **github.subject, "sub_claim_prefix": prefix}


def _set_subject(github: Store, request: Request) -> Reply:
    if not isinstance(request.content.get("use_default"), bool):
        return refuse(422, "Validation Failed", "use_default is required")  # its errors are texts
    github.subject = request.content
    return 201, {}


def _graphql(github: Store, request: Request) -> Reply:
    """Answer `gh auth status`, and what gh asks before it sets something in an environment."""
    query = request.content["query"]
    if "viewer" in query:
        return 200, {"data": {"viewer": {"login": request.token.login}}}
    found = re.search(r'(repo_\d+): repository\(owner: "([^"]+)", name: "([^"]+)"\)', query)
    known = github.repository
    if found and known and f"{found[2]}/{found[3]}".lower() == known.full_name.lower():
        return 200, {"data": {found[1]: {"databaseId": known.id}}}
    return 200, {"errors": [{"type": "NOT_FOUND", "message": "Could not resolve to a Repository."}]}


ADMIN = (("administration", "write"),)
SETTING = rf"{IN}/actions/permissions(?P<name>{'|'.join(DEFAULTS)})"
SUBJECT = f"{IN}/actions/oidc/customization/sub"
ROUTES = (
    Route("GET", "/", (), lambda *_: (200, {}), scope=""),
    Route("POST", "/graphql", (), _graphql, scope=""),
    Route("GET", "/user", (), _user, scope=""),
    Route("GET", "/users/(?P<login>[^/]+)", (), _named, scope=""),
    Route("GET", "/apps/github-actions", (), _app, scope=""),
    Route("GET", "/orgs/(?P<organization>[^/]+)/teams/(?P<slug>[^/]+)", (("members", "read"),), _team, "read:org"),
    Route("POST", "/user/repos", ADMIN, _create),
    Route("POST", "/orgs/(?P<organization>[^/]+)/repos", ADMIN, _create),
    Route("GET", IN, (), _repository),
    Route("PATCH", IN, ADMIN, _change),
    Route("GET", SETTING, (("administration", "read"),), _setting),
    Route("PUT", SETTING, ADMIN, _set),
    Route("GET", SUBJECT, (("actions", "read"),), _subject),
    Route("PUT", SUBJECT, (("actions", "write"),), _set_subject),
)
