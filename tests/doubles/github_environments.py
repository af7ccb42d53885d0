"""Environments: what protects them, and their secrets and variables; the repository's variables, too.

A job and a person see the same. Sources besides the OpenAPI description:

- plans: "Deployments and environments", docs.github.com; a private repository's 404 on Free, google/go-github
  `repos_environments.go`; the refusal on Pro and Team, backstage#28977, also of empty values, alchemy-run/alchemy#1373.
  Its text for a wait timer could not be looked up: it is the one for reviewers.
- can_admins_bypass: the same file of go-github, ThalesGroup/agilab#1008.
- 404 for the branches of an environment without a list of them: safe-settings#746.
- 409 for a variable that exists: cli/cli `pkg/cmd/variable/set/http.go`; a wrong key's refusal: gh 2.102.0.

Whether GitHub keeps fields that a PUT leaves out is not known: here they are reset, which spares no client.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from nacl.exceptions import CryptoError
from nacl.public import SealedBox

from doubles.github_store import IN, TIME, Environment, Reply, Request, Route, Store, not_found, page, refuse

LONGEST_WAIT = 43_200
MOST_REVIEWERS = 6
KEY_ID = "568250167242549743"
POLICY = ("protected_branches", "custom_branch_policies")
BILLING = (
    "Failed to create the environment protection rule. "
    "Please ensure the billing plan supports the required reviewers protection rule."
)
KNOWN = {"wait_timer", "prevent_self_review", "reviewers", "deployment_branch_policy", "can_admins_bypass"}
INVALID = refuse(422, "Invalid request")


def reviewer(github: Store, name: str) -> dict[str, Any]:
    """Describe a reviewer: a user, or a team."""
    if "/" in name:
        return {"type": "Team", "reviewer": {"id": github.team(name), "slug": name.partition("/")[2]}}
    found = github.account(name)
    return {"type": "User", "reviewer": {"login": name, **({"id": found.id} if found else {})}}


def _described(github: Store, name: str) -> dict[str, Any]:
    found = github.environments[name]
    rules: list[dict[str, Any]] = []
    if found.wait_minutes:
        rules.append({"type": "wait_timer", "wait_timer": found.wait_minutes})
    if found.reviewers:
        reviewers = [reviewer(github, one) for one in found.reviewers]
        rule = {"type": "required_reviewers", "prevent_self_review": found.prevent_self_review}
        rules.append({**rule, "reviewers": reviewers})
    policy = None
    if found.branches is not None or found.protected_branches:
        rules.append({"type": "branch_policy"})
        names = {"protected_branches": found.protected_branches}
        policy = {**names, "custom_branch_policies": not found.protected_branches}
    return {
        "id": github.number(f"environment {name}"),
        "name": name,
        "protection_rules": [{"id": github.number(f"{name} {rule['type']}"), **rule} for rule in rules],
        "deployment_branch_policy": policy,
        "can_admins_bypass": found.can_admins_bypass,
    }


def _get(github: Store, _: Request, name: str) -> Reply:
    return (200, _described(github, name)) if name in github.environments else not_found()


def _list(github: Store, request: Request) -> Reply:
    found = [_described(github, name) for name in github.environments]
    return 200, {"total_count": len(found), "environments": page(found, request.query)}


def _put(github: Store, request: Request, name: str) -> Reply:
    content = request.content
    if not github.has("pro"):
        return not_found()
    if content.keys() & {"reviewers", "wait_timer"} and not github.has("enterprise"):
        if github.keeps_refused:
            github.environments.setdefault(name, Environment(branches=None))
        return refuse(422, BILLING)
    reviewers = [_name(github, one) for one in content.get("reviewers") or ()]
    wait, policy = content.get("wait_timer") or 0, content.get("deployment_branch_policy")
    if content.keys() - KNOWN or len(reviewers) > MOST_REVIEWERS or not 0 <= wait <= LONGEST_WAIT:
        return INVALID
    if policy is not None and [type(policy.get(one)) for one in POLICY] != [bool, bool]:
        return INVALID
    if policy is not None and policy["protected_branches"] == policy["custom_branch_policies"]:
        return refuse(422, "Validation Failed", "protected_branches and custom_branch_policies cannot be the same")
    if None in reviewers:
        return refuse(422, "Validation Failed", "a reviewer is no collaborator, or no team")
    found = github.environments.setdefault(name, Environment(branches=None))
    found.reviewers = tuple(one for one in reviewers if one)
    found.wait_minutes = wait
    found.prevent_self_review = content.get("prevent_self_review", False)
    found.can_admins_bypass = content.get("can_admins_bypass", True)
    found.protected_branches = bool(policy and policy["protected_branches"])
    found.branches = (found.branches or ()) if policy and policy["custom_branch_policies"] else None
    return 200, _described(github, name)


def _name(github: Store, wanted: Mapping[str, Any]) -> str | None:
    """Return a reviewer's name, or None: a user must be a collaborator."""
    if wanted["type"] == "Team":
        teams = {key: f"{one.login}/{slug}" for one in github.accounts for slug, key in one.teams.items()}
        return teams.get(wanted["id"])
    logins = {one.id: one.login for one in github.accounts if one.login in github.existing.roles}
    return logins.get(wanted["id"])


def _delete(github: Store, _: Request, name: str) -> Reply:
    return (204, None) if github.environments.pop(name, None) else not_found()


def _policy(github: Store, name: str, branch: str) -> dict[str, Any]:
    return {"id": github.number(f"branch {branch} of {name}"), "name": branch, "type": "branch"}


def _policies(github: Store, request: Request, name: str) -> Reply:
    found = github.environments.get(name)
    if found is None or found.branches is None:
        return not_found()
    policies = [_policy(github, name, branch) for branch in found.branches]
    return 200, {"total_count": len(policies), "branch_policies": page(policies, request.query)}


def _add_policy(github: Store, request: Request, name: str) -> Reply:
    found = github.environments.get(name)
    if found is None or found.branches is None:
        return not_found()
    if "name" not in request.content or request.content.get("type", "branch") != "branch":
        return INVALID  # GitHub has tags, too; no project needs them
    branch = request.content["name"]
    if branch in found.branches:
        return 303, None
    found.branches = (*found.branches, branch)
    return 200, _policy(github, name, branch)


def _delete_policy(github: Store, _: Request, name: str, number: str) -> Reply:
    found = github.environments.get(name)
    branches = (found.branches if found else None) or ()
    gone = [branch for branch in branches if _policy(github, name, branch)["id"] == int(number)]
    if found is None or not gone:
        return not_found()
    found.branches = tuple(branch for branch in branches if branch not in gone)
    return 204, None


def _secrets(github: Store, request: Request, name: str) -> Reply:
    found = github.environments.get(name)
    if found is None:
        return not_found()
    secrets = [{"name": one, "created_at": TIME, "updated_at": TIME} for one in found.secrets]
    return 200, {"total_count": len(secrets), "secrets": page(secrets, request.query)}


def _key(github: Store, _: Request, name: str) -> Reply:
    if name not in github.environments:
        return not_found()
    return 200, {"key_id": KEY_ID, "key": base64.b64encode(bytes(github.key.public_key)).decode()}


def _set_secret(github: Store, request: Request, name: str, key: str) -> Reply:
    found = github.environments.get(name)
    if found is None:
        return not_found()
    if request.content.get("key_id") != KEY_ID:
        return refuse(422, "Validation Failed", {"resource": "Secret", "field": "key_id", "code": "invalid"})
    try:
        value = SealedBox(github.key).decrypt(base64.b64decode(request.content["encrypted_value"], validate=True))
    except (KeyError, binascii.Error, CryptoError):
        return INVALID
    status = 204 if key in found.secrets else 201
    found.secrets = {**found.secrets, key: value.decode()}
    return status, None if status == 204 else {}


def _delete_secret(github: Store, _: Request, name: str, key: str) -> Reply:
    found = github.environments.get(name)
    if found is None or key not in found.secrets:
        return not_found()
    found.secrets = {one: value for one, value in found.secrets.items() if one != key}
    return 204, None


def _store(github: Store, name: str | None, variables: dict[str, str]) -> None:
    if name is None:
        github.variables = variables
    else:
        github.environments[name].variables = variables


def _variables(github: Store, request: Request, name: str | None = None, key: str = "") -> Reply:
    """Answer a call about the variables of an environment, or of the repository without one."""
    if name is not None and name not in github.environments:
        return not_found()
    known = dict(github.variables if name is None else github.environments[name].variables)
    content, method = request.content, request.method
    if key and key not in known:
        return not_found()
    if method == "GET":
        times = {"created_at": TIME, "updated_at": TIME}
        found = [{"name": one, "value": value, **times} for one, value in known.items()]
        if key:
            return 200, next(one for one in found if one["name"] == key)
        return 200, {"total_count": len(found), "variables": page(found, request.query, 10, 30)}
    if method == "DELETE":
        known.pop(key)
    elif not all(isinstance(content.get(one), str) for one in ("value", *([] if key else ["name"]))):
        return INVALID
    elif not key and content["name"] in known:
        return refuse(409, "Already exists")
    else:
        known[key or content["name"]] = content["value"]
    _store(github, name, known)
    return (201, {}) if method == "POST" else (204, None)


READ, ADMIN = (("actions", "read"),), (("administration", "write"),)
ONE = f"{IN}/environments/(?P<name>[^/]+)"
POLICIES = f"{ONE}/deployment-branch-policies"
READ_INSIDE, WRITE_INSIDE = (("environments", "read"),), (("environments", "write"),)
ROUTES = (
    Route("GET", f"{IN}/environments", READ, _list),
    Route("GET", ONE, READ, _get),
    Route("PUT", ONE, ADMIN, _put),
    Route("DELETE", ONE, ADMIN, _delete),
    Route("GET", POLICIES, READ, _policies),
    Route("POST", POLICIES, ADMIN, _add_policy),
    Route("DELETE", rf"{POLICIES}/(?P<number>\d+)", ADMIN, _delete_policy),
    Route("GET", f"{ONE}/secrets", READ_INSIDE, _secrets),
    Route("GET", f"{ONE}/secrets/public-key", READ_INSIDE, _key),
    Route("PUT", rf"{ONE}/secrets/(?P<key>\w+)", WRITE_INSIDE, _set_secret),
    Route("DELETE", rf"{ONE}/secrets/(?P<key>\w+)", WRITE_INSIDE, _delete_secret),
    *(
        Route(method, where + part, ((right, "read" if method == "GET" else "write"),), _variables)
        for where, right in ((ONE, "environments"), (f"{IN}/actions", "variables"))
        for part, methods in (("/variables", ("GET", "POST")), (r"/variables/(?P<key>\w+)", ("GET", "PATCH", "DELETE")))
        for method in methods
    ),
)
