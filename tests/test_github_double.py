"""The double of GitHub answers and refuses a person's real `gh` as GitHub does, and workflows see what was set."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from doubles.github import Account, Environment, Fault, GitHub, Run, running_github
from rendering import git
from workflows.rules import Event, Rules

GH = Path(sys.executable).parent / "gh"
REPO = "repos/Acme/credit-risk"
STAGING = f"{REPO}/environments/staging"
POLICIES = f"{STAGING}/deployment-branch-policies"
BRANCHES = {"protected_branches": False, "custom_branch_policies": True}
ACTIONS = f"{REPO}/actions/permissions"
ALICE, BOB, TEAM = ({"type": kind, "id": one} for kind, one in (("User", 11), ("User", 12), ("Team", 31)))
REVIEW = {
    "dismiss_stale_reviews_on_push": True,
    "require_code_owner_review": True,
    "require_last_push_approval": False,
    "required_approving_review_count": 1,
    "required_review_thread_resolution": False,
}
CHECKS = {"required_status_checks": [{"context": "Check"}], "strict_required_status_checks_policy": False}
RULES = {
    "name": "mlops",
    "enforcement": "active",
    "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
    "rules": [
        {"type": "pull_request", "parameters": REVIEW},
        {"type": "required_status_checks", "parameters": CHECKS},
    ],
}


@dataclass(frozen=True)
class Person:
    """Somebody who uses gh: its answers are a status, a content and headers."""

    github: GitHub
    folder: Path
    login: str = "alice"

    def gh(self, *words: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "config.yml").write_text(f"http_unix_socket: {self.github.socket}\n", encoding="utf-8")
        quiet = {"GH_NO_UPDATE_NOTIFIER": "1", "GH_TELEMETRY": "false", "GH_PROMPT_DISABLED": "1"}
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GH_CONFIG_DIR": str(self.folder), **quiet}
        environment |= {"GH_TOKEN": self.login, **variables}
        command = [str(GH), *words]
        return subprocess.run(command, env=environment, input=given, capture_output=True, text=True, timeout=60)

    def call(self, method: str, path: str, body: Any = None, **variables: str) -> tuple[int, Any, Mapping[str, str]]:
        words = ["api", "--include", "--method", method, path, *(() if body is None else ("--input", "-"))]
        done = self.gh(*words, given="" if body is None else json.dumps(body), **variables)
        head, _, content = done.stdout.replace("\r\n", "\n").partition("\n\n")
        assert head, done.stderr
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
        is_json = headers.get("Content-Type", "").startswith("application/json")
        return int(head.split()[1]), json.loads(content) if content and is_json else content or None, headers

    def status(self, method: str, path: str, body: Any = None) -> int:
        return self.call(method, path, body)[0]


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Person]:
    with running_github(tmp_path) as github:
        github.accounts = [
            Account("Acme", 1, "Organization", {"releasers": 31}),
            Account("alice", 11),
            Account("bob", 12),
        ]
        github.person("alice")
        yield Person(github, tmp_path)


@pytest.fixture
def owner(alice: Person) -> Person:
    """Alice, whose organization has a private repository with an environment."""
    alice.github.create("Acme", "credit-risk", "alice")
    alice.github.environments["staging"] = Environment(branches=())
    return alice


def refusal(status: int, message: str, *errors: Any) -> tuple[int, Any]:
    content = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return status, content | ({"errors": list(errors)} if errors else {})


NOT_FOUND = refusal(404, "Not Found")
INVALID = refusal(422, "Invalid request")


def test_a_repository_is_created_once_and_spelled_as_stored(alice: Person, tmp_path: Path) -> None:
    alice.github.folder = tmp_path / "git"
    assert alice.call("GET", REPO)[:2] == NOT_FOUND
    described = {
        "id": 7001,
        "name": "credit-risk",
        "full_name": "Acme/credit-risk",
        "owner": {"login": "Acme", "id": 1, "type": "Organization"},
        "private": True,
        "visibility": "private",
        "default_branch": "main",
        "html_url": "https://github.com/Acme/credit-risk",
        "permissions": {"admin": True, "push": True, "pull": True},
    }
    made = {"name": "credit-risk", "private": True}
    assert alice.call("POST", "orgs/acme/repos", made)[:2] == (201, described)
    assert git(tmp_path / "git" / "Acme" / "credit-risk.git", "rev-parse", "--is-bare-repository").strip() == "true"
    for path in (REPO, "repos/acme/CREDIT-risk", "repositories/7001"):
        assert alice.call("GET", path)[:2] == (200, described)
    taken = {
        "resource": "Repository",
        "code": "custom",
        "field": "name",
        "message": "name already exists on this account",
    }
    again = alice.call("POST", "orgs/Acme/repos", made)[:2]
    assert again == refusal(422, "Repository creation failed.", taken)
    assert alice.call("PATCH", REPO, {"default_branch": "trunk"})[1] == {**described, "default_branch": "trunk"}


def test_an_own_repository_is_the_users(alice: Person) -> None:
    for body, path, status in (({"name": "x"}, "orgs/alice/repos", 404), ({}, "user/repos", 422)):
        assert alice.status("POST", path, body) == status
    _, made, _ = alice.call("POST", "user/repos", {"name": "x"})
    assert (made["owner"]["login"], made["visibility"]) == ("alice", "public")


def test_who_is_known(alice: Person) -> None:
    assert alice.call("GET", "users/ALICE")[:2] == (200, {"login": "alice", "id": 11, "type": "User"})
    team = {"id": 31, "slug": "releasers", "name": "releasers"}
    assert alice.call("GET", "orgs/acme/teams/releasers")[:2] == (200, team)
    assert alice.call("GET", "apps/github-actions")[1]["id"] == 15368
    assert [alice.status("GET", path) for path in ("users/eve", "orgs/acme/teams/x", "user/")] == [404] * 3
    status, user, headers = alice.call("GET", "user")
    assert (status, user["login"], headers["X-Oauth-Scopes"]) == (200, "alice", "gist, read:org, repo, workflow")
    assert "Logged in to github.com account alice" in alice.gh("auth", "status").stdout


def test_what_a_token_or_a_person_may_not_do(owner: Person, tmp_path: Path) -> None:
    github = owner.github
    github.accounts.append(Account("eve", 13))

    def put(login: str, **options: Any) -> tuple[int, str, str]:
        github.person(login, **options)
        found, content, headers = Person(github, tmp_path, login).call("PUT", STAGING, {})
        return found, content.get("message", ""), headers.get("X-Accepted-Github-Permissions", "")

    for body, message in (("{", "Problems parsing JSON"), ("[]", "Body should be a JSON object")):
        assert f"gh: {message} (HTTP 400)" in owner.gh("api", "-X", "PUT", STAGING, "--input", "-", given=body).stderr
    assert Person(github, tmp_path, "stolen").call("GET", "user")[:2] == refusal(401, "Bad credentials")
    assert put("eve") == (404, "Not Found", "")
    github.existing.roles = {"alice": "admin", "eve": "write"}
    assert put("eve") == (404, "Not Found", "")
    assert Person(github, tmp_path, "eve").status("POST", f"{STAGING}/variables", {"name": "A", "value": "1"}) == 201
    github.existing.private = False
    assert put("eve") == (403, "Must have admin rights to Repository.", "")
    assert put("alice", scopes=("gist",)) == (404, "Not Found", "")
    assert 'This API operation needs the "repo" scope' in owner.gh("api", "-X", "PUT", STAGING).stderr
    refused = (403, "Resource not accessible by personal access token", "administration=write")
    assert put("alice", scopes=None, environments="write") == refused
    assert put("alice", scopes=None, administration="write")[0] == 200


@pytest.mark.parametrize(
    ("private", "plan", "body", "wanted"),
    [
        (True, "free", {}, NOT_FOUND[0]),
        (True, "pro", {"deployment_branch_policy": BRANCHES}, 200),
        (True, "pro", {"reviewers": None}, 422),
        (True, "pro", {"wait_timer": 0}, 422),
        (True, "enterprise", {"reviewers": [ALICE], "wait_timer": 5}, 200),
        (False, "free", {"reviewers": [ALICE], "wait_timer": 5}, 200),
    ],
)
def test_a_plan_has_its_environments(private: bool, plan: str, body: Any, wanted: int, owner: Person) -> None:
    owner.github.plan, owner.github.existing.private = plan, private
    for keeps in (False, True):
        owner.github.environments, owner.github.keeps_refused = {}, keeps
        status, content, _ = owner.call("PUT", STAGING, body)
        assert status == wanted
        assert ("billing plan" in content.get("message", "")) == (status == 422)
        assert bool(owner.github.environments) == (status == 200 or (status == 422 and keeps))
    rules = owner.call("POST", f"{REPO}/rulesets", RULES)
    upgrade = refusal(403, "Upgrade to GitHub Pro or make this repository public to enable this feature.")
    assert rules[:2] == upgrade if private and plan == "free" else rules[0] == 201


def test_an_environment_is_what_workflows_see(owner: Person) -> None:
    protection = {"wait_timer": 5, "prevent_self_review": True, "reviewers": [ALICE, TEAM]}
    _, made, _ = owner.call(
        "PUT", STAGING, {**protection, "deployment_branch_policy": BRANCHES, "can_admins_bypass": False}
    )
    reviewers = [
        {"type": "User", "reviewer": {"login": "alice", "id": 11}},
        {"type": "Team", "reviewer": {"id": 31, "slug": "releasers"}},
    ]
    for rule in made["protection_rules"]:
        assert isinstance(rule.pop("id"), int)
    assert made == {
        "id": made["id"],
        "name": "staging",
        "protection_rules": [
            {"type": "wait_timer", "wait_timer": 5},
            {"type": "required_reviewers", "prevent_self_review": True, "reviewers": reviewers},
            {"type": "branch_policy"},
        ],
        "deployment_branch_policy": BRANCHES,
        "can_admins_bypass": False,
    }
    assert owner.call("GET", f"{REPO}/environments")[1]["total_count"] == 1
    assert owner.status("POST", POLICIES, {"name": "main", "type": "branch"}) == 200
    owner.gh("secret", "set", "HOOK", "--env", "staging", "--repo", "Acme/credit-risk", given="a b\nc\n")
    owner.gh("variable", "set", "CLIENT", "--env", "staging", "--repo", "Acme/credit-risk", "--body", "reader")
    found = owner.github.environments["staging"]
    assert found == Environment(
        ("alice", "Acme/releasers"), ("main",), {"CLIENT": "reader"}, {"HOOK": "a b\nc"}, None, None, 5, True, False
    )
    steps = [{"run": "${{ vars.CLIENT }} ${{ secrets.HOOK }}"}]
    workflow = {"permissions": {}, "jobs": {"job": {"environment": "staging", "steps": steps}}}
    rules = Rules("Acme/credit-risk", owner.github, Event("push", ""), lambda _: {}, sys.executable, 1)
    assert rules.apply("x.yml", workflow)["jobs"]["job"]["steps"][1] == {"run": "reader a b\nc"}
    assert "a b" not in repr(owner.github.calls)
    assert owner.status("PUT", STAGING, {}) == 200  # replaces all that protects it, and nothing inside it
    assert found == Environment((), None, {"CLIENT": "reader"}, {"HOOK": "a b\nc"}, None, None, 0, False, True)
    assert [owner.status("DELETE", STAGING) for _ in range(2)] == [204, 404]


@pytest.mark.parametrize(
    "body",
    [
        {"reviewers": [BOB]},
        {"reviewers": [{"type": "Team", "id": 11}]},
        {"reviewers": [ALICE] * 7},
        {"wait_timer": 43_201},
        {"deployment_branch_policy": {"protected_branches": True, "custom_branch_policies": True}},
        {"deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": False}},
        {"deployment_branch_policy": {"protected_branches": True}},
        {"unknown": 1},
    ],
)
def test_a_wrong_environment_is_refused(body: Any, owner: Person) -> None:
    assert owner.status("PUT", STAGING, body) == 422
    assert owner.github.environments["staging"] == Environment(branches=())


def test_branches_are_a_list_only_if_they_are_custom(owner: Person) -> None:
    _, made, _ = owner.call("POST", POLICIES, {"name": "release/*"})
    assert owner.call("POST", POLICIES, {"name": "release/*"})[0] == 303
    assert [owner.status("POST", POLICIES, body) for body in ({}, {"name": "v*", "type": "tag"})] == [422, 422]
    assert owner.call("GET", POLICIES)[1] == {"total_count": 1, "branch_policies": [made]}
    assert [owner.status("DELETE", f"{POLICIES}/{made['id']}") for _ in range(2)] == [204, 404]
    owner.call(
        "PUT", STAGING, {"deployment_branch_policy": dict.fromkeys(BRANCHES, True) | {"custom_branch_policies": False}}
    )
    assert [owner.status("GET", POLICIES), owner.status("POST", POLICIES, {"name": "main"})] == [404, 404]


def test_secrets_are_set_and_listed_by_name(owner: Person) -> None:
    words = ("secret", "set", "A", "--env", "staging", "--repo", "Acme/credit-risk")
    for value in ("first", "second"):
        assert owner.gh(*words, given=value).returncode == 0
    assert [call.status for call in owner.github.calls if call.method == "PUT"] == [201, 204]
    assert owner.github.environments["staging"].secrets == {"A": "second"}
    times = dict.fromkeys(("created_at", "updated_at"), "2026-12-01T00:00:00Z")
    assert owner.call("GET", f"{STAGING}/secrets")[1] == {"total_count": 1, "secrets": [{"name": "A", **times}]}
    wrong = {"resource": "Secret", "field": "key_id", "code": "invalid"}
    sent = {"encrypted_value": "AAAA", "key_id": "1"}
    assert owner.call("PUT", f"{STAGING}/secrets/A", sent)[:2] == refusal(422, "Validation Failed", wrong)
    key = owner.call("GET", f"{STAGING}/secrets/public-key")[1]["key_id"]
    assert owner.call("PUT", f"{STAGING}/secrets/A", {**sent, "key_id": key})[:2] == INVALID
    assert [owner.status("DELETE", f"{STAGING}/secrets/A") for _ in range(2)] == [204, 404]
    none = STAGING.replace("staging", "none")
    assert [owner.status("GET", f"{none}/secrets"), owner.status("PUT", f"{none}/secrets/A", sent)] == [404, 404]
    gone = owner.gh("secret", "set", "A", "--env", "none", "--repo", "Acme/credit-risk", given="x")
    assert "failed to fetch public key: HTTP 404" in gone.stderr


@pytest.mark.parametrize(("place", "words"), [(STAGING, ("--env", "staging")), (f"{REPO}/actions", ())])
def test_variables(place: str, words: tuple[str, ...], owner: Person) -> None:
    path = f"{place}/variables"
    assert owner.call("POST", path, {"name": "A", "value": "1"})[:2] == (201, {})
    assert owner.call("POST", path, {"name": "A", "value": "2"})[:2] == refusal(409, "Already exists")
    assert owner.call("POST", path, {"name": "A", "value": True})[:2] == INVALID
    assert owner.status("PATCH", f"{path}/A", {"value": "2"}) == 204
    assert owner.gh("variable", "set", "A", "--body", "3", "--repo", "acme/credit-risk", *words).returncode == 0
    times = dict.fromkeys(("created_at", "updated_at"), "2026-12-01T00:00:00Z")
    variable = {"name": "A", "value": "3", **times}
    assert owner.call("GET", path)[:2] == (200, {"total_count": 1, "variables": [variable]})
    assert owner.call("GET", f"{path}/A")[:2] == (200, variable)
    kept = owner.github.environments["staging"].variables if words else owner.github.variables
    assert kept == {"A": "3"}
    missing = [("GET", None), ("PATCH", {"value": "2"}), ("DELETE", None)]
    assert owner.status("DELETE", f"{path}/A") == 204
    assert [owner.status(method, f"{path}/A", body) for method, body in missing] == [404] * 3
    for number in range(12):
        owner.status("POST", path, {"name": f"V{number}", "value": ""})
    assert len(owner.call("GET", path)[1]["variables"]) == 10
    assert len(owner.call("GET", f"{path}?per_page=30")[1]["variables"]) == 12


def test_the_settings_of_actions(owner: Person) -> None:
    chosen = {"github_owned_allowed": True, "verified_allowed": False, "patterns_allowed": []}
    assert [owner.status(method, f"{ACTIONS}/selected-actions", chosen) for method in ("GET", "PUT")] == [409, 409]
    settings: dict[str, dict[str, Any]] = {
        "": {"enabled": True, "allowed_actions": "selected", "sha_pinning_required": True},
        "/selected-actions": chosen,
        "/workflow": {"default_workflow_permissions": "write", "can_approve_pull_request_reviews": True},
        "/fork-pr-contributor-approval": {"approval_policy": "all_external_contributors"},
        "/fork-pr-workflows-private-repos": {
            "run_workflows_from_fork_pull_requests": True,
            "send_write_tokens_to_workflows": False,
            "send_secrets_and_variables": False,
            "require_approval_for_fork_pr_workflows": True,
        },
    }
    for name, body in settings.items():
        assert owner.call("PUT", ACTIONS + name, body)[:2] == (204, None)
        assert owner.call("GET", ACTIONS + name)[:2] == (200, body)
        assert owner.call("PUT", ACTIONS + name, {**body, "x": 1})[:2] == INVALID
    wrong = ({"allowed_actions": "all"}, {"enabled": True, "allowed_actions": "some"})
    assert [owner.status("PUT", ACTIONS, body) for body in wrong] == [422, 422]
    owner.github.forbidden = {"/workflow"}
    assert owner.status("PUT", f"{ACTIONS}/workflow", {"default_workflow_permissions": "read"}) == 409


def test_the_subject_has_ids_unless_it_is_older(owner: Person) -> None:
    path = f"{REPO}/actions/oidc/customization/sub"
    prefix = {"sub_claim_prefix": "repo:Acme@1/credit-risk@7001"}
    assert owner.call("GET", path)[1] == {"use_default": True, "use_immutable_subject": False, **prefix}
    server = {"GH_HOST": "github.acme.example", "GH_ENTERPRISE_TOKEN": "alice"}
    assert owner.call("GET", path, **server)[1] == {"use_default": True}
    owner.github.immutable = False
    assert owner.call("GET", path)[1] == {"use_default": True}
    custom = {"use_default": False, "include_claim_keys": ["repo", "actor"], "use_immutable_subject": True}
    assert owner.call("PUT", path, custom)[:2] == (201, {})
    assert owner.call("GET", path)[1] == {**custom, **prefix}
    assert owner.call("PUT", path, {})[:2] == refusal(422, "Validation Failed", "use_default is required")
    owner.github.subject = None
    assert owner.status("GET", path) == 404


def test_rulesets(owner: Person) -> None:
    path = f"{REPO}/rulesets"
    origin = {"source_type": "Repository", "source": "Acme/credit-risk"}
    _, made, _ = owner.call("POST", path, RULES)
    assert made == {"id": made["id"], "target": "branch", "bypass_actors": [], **origin, **RULES}
    short = {"id": made["id"], "name": "mlops", "target": "branch", **origin, "enforcement": "active"}
    assert owner.call("GET", f"{path}?includes_parents=false")[1] == [short]
    assert owner.call("POST", path, RULES)[:2] == refusal(422, "Validation Failed", "Name must be unique")
    included = {"ref_name": {"include": ["~ALL"]}}
    wrong = owner.call("POST", path, {**RULES, "name": "x", "conditions": included})[:2]
    assert wrong == refusal(422, "Validation Failed", "Invalid target patterns: ''")
    one = f"{path}/{made['id']}"
    for kind, parameters in (("pull_request", REVIEW), ("required_status_checks", CHECKS)):
        for name in parameters:
            kept = {key: value for key, value in parameters.items() if key != name}
            rules = [{"type": kind, "parameters": kept}]
            assert owner.call("PUT", one, {**RULES, "rules": rules})[:2] == INVALID, name
    many = [{"type": "pull_request", "parameters": {**REVIEW, "required_approving_review_count": 11}}]
    unnamed = [{"type": "required_status_checks", "parameters": {**CHECKS, "required_status_checks": [{}]}}]
    for change in ({"rules": many}, {"rules": unnamed}, {"enforcement": "sometimes"}):
        assert owner.call("PUT", one, {**RULES, **change})[:2] == INVALID
    assert owner.call("GET", one)[1] == made
    assert owner.call("PUT", one, {**RULES, "enforcement": "disabled"})[1] == {**made, "enforcement": "disabled"}
    assert [owner.status("DELETE", one) for _ in range(2)] == [204, 404]


def test_a_dispatched_run_waits_for_a_decision(owner: Person, tmp_path: Path) -> None:
    github, ready = owner.github, threading.Event()
    github.environments["production"] = Environment(("alice",), ("main",), wait_minutes=3, prevent_self_review=False)

    def execute(run: Run) -> None:
        ready.wait()
        path = f"/_double/runs/{run.id}/production?ref=refs/heads/main"
        assert github.handle("POST", path, "", b"")
        run.status, run.conclusion = "completed", "success"

    github.on_dispatch = execute
    path = f"{REPO}/actions/workflows/infra.yml"
    page, run = "https://github.com/Acme/credit-risk/actions/runs/9001", f"{REPO}/actions/runs/9001"
    details = {"workflow_run_id": 9001, "run_url": f"https://api.github.com/{run}", "html_url": page}
    body = {"ref": "main", "return_run_details": True}
    assert owner.call("POST", f"{path}/dispatches", body)[:2] == (200, details)
    _, found, _ = owner.call("GET", run)
    assert (found["status"], found["conclusion"], found["html_url"]) == ("queued", None, page)
    ready.set()
    until(lambda: owner.call("GET", run)[1]["status"] == "waiting")
    assert owner.call("GET", f"{run}/pending_deployments")[1] == [
        {
            "environment": {"id": github.number("environment production"), "name": "production"},
            "wait_timer": 3,
            "wait_timer_started_at": None,
            "current_user_can_approve": True,
            "reviewers": [{"type": "User", "reviewer": {"login": "alice", "id": 11}}],
        }
    ]
    github.environments["production"].prevent_self_review = True  # Alice started it
    assert not owner.call("GET", f"{run}/pending_deployments")[1][0]["current_user_can_approve"]
    github.environments["production"].decision = ("alice", "approved")
    until(lambda: owner.call("GET", run)[1]["conclusion"] == "success")
    assert owner.call("GET", f"{run}/pending_deployments")[1] == []
    assert [one["state"] for one in owner.call("GET", f"{run}/approvals")[1]] == ["approved"]
    github.on_dispatch = None
    assert owner.call("POST", f"{path}/dispatches", {"ref": "main"})[:2] == (204, None)
    assert [one["id"] for one in owner.call("GET", f"{path}/runs")[1]["workflow_runs"]] == [9002, 9001]
    github.folder = tmp_path
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", "Acme/credit-risk.git")
    assert owner.call("POST", f"{path}/dispatches", {"ref": "main"})[:2] == NOT_FOUND  # nothing was pushed
    for missing in (run.replace("9001", "1"), f"{run.replace('9001', '1')}/pending_deployments"):
        assert owner.call("GET", missing)[:2] == NOT_FOUND
    (tmp_path / "work/.github/workflows").mkdir(parents=True)
    (tmp_path / "work/.github/workflows/infra.yml").touch()
    for words in ("init -q -b main", "add .", "commit -qm x", "push -q ../Acme/credit-risk.git main"):
        git(tmp_path / "work", *words.split())
    no_branch = owner.call("POST", f"{path}/dispatches", {"ref": "topic"})[:2]
    assert no_branch == refusal(422, "No ref found for: topic")
    assert owner.status("POST", f"{path}/dispatches", {"ref": "main"}) == 204


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end


@pytest.mark.parametrize(
    ("kind", "said", "header"),
    [
        ("bad-credentials", "gh: Bad credentials (HTTP 401)", ""),
        ("missing-scope", 'needs the "repo" scope', "X-Accepted-Oauth-Scopes"),
        ("missing-right", "(HTTP 403)", "X-Accepted-Github-Permissions"),
        ("sign-on", "(HTTP 403)", "X-Github-Sso"),
        ("not-found", "gh: Not Found (HTTP 404)", ""),
        ("conflict", "(HTTP 409)", ""),
        ("invalid", "(HTTP 422)", ""),
        ("limited", "(HTTP 429)", "Retry-After"),
        ("limited-forbidden", "(HTTP 403)", "Retry-After"),
        ("bad-gateway", "gh: HTTP 502", ""),
        ("dropped", "EOF", ""),
    ],
)
@pytest.mark.parametrize("is_carried_out", [False, True])
def test_planted_faults(kind: str, said: str, header: str, is_carried_out: bool, owner: Person) -> None:
    github, path = owner.github, f"{STAGING}/variables"
    github.planted = [Fault(kind, "POST", "staging/variables$", 1, is_carried_out=is_carried_out)]
    words = ("api", "--include", "--method", "POST", path, "-f", "value=1", "-f")
    done = [owner.gh(*words, f"name={name}") for name in "ABC"]
    assert [one.returncode for one in done] == [0, 1, 0]
    assert said in done[1].stderr
    assert header in done[1].stdout
    assert list(github.environments["staging"].variables) == [*("A", *("B" * is_carried_out), "C")]


@pytest.mark.parametrize(
    ("server", "host", "path", "page"),
    [
        ("", "api.github.com", "/user", "https://github.com"),
        ("acme.ghe.com", "api.acme.ghe.com", "/user", "https://acme.ghe.com"),
        ("github.acme.example", "github.acme.example", "/api/v3/user", "https://github.acme.example"),
    ],
)
def test_every_server_is_recorded(server: str, host: str, path: str, page: str, owner: Person) -> None:
    login = {"GH_HOST": server, "GH_ENTERPRISE_TOKEN": "alice"} if server else {}
    seen: list[str] = []
    owner.github.interrupt_after(2, lambda: seen.append(owner.github.calls[-1].path))
    for asked in ("user", REPO, "user"):
        content = owner.call("GET", asked, **login)[1]
    [first, second, third] = owner.github.calls
    assert (first.who, first.method, first.path, first.status, first.host) == ("alice", "GET", path, 200, host)
    assert (seen, third) == ([second.path], first)
    assert content["login"] == "alice"
    assert re.sub("/Acme.*", "", owner.call("GET", REPO, **login)[1]["html_url"]) == page
    assert owner.github.handle("GET", "/api/v3/user", "alice", b"", "api.github.com")[0] == 404  # type: ignore[index]
