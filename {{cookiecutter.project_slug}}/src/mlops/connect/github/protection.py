"""What protects a repository: which actions run, what tokens may do, and the rules for main."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from mlops.connect.github.api import RefusedError
from mlops.connect.github.repository import SERVICE, Repository
from mlops.connect.steps import Change, Limit, Undo

RULESET: Final = "mlops"
CHECKS: Final = ("Check", "Model")  # the jobs of pull-request.yml
SELECTED: Final = "/selected-actions"
# In words, the path below actions/permissions, and the values.
ACTIONS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    (
        "run only actions that are pinned by commit",
        "",
        {"enabled": True, "allowed_actions": "selected", "sha_pinning_required": True},
    ),
    (
        "run only GitHub's own actions",
        SELECTED,
        {"github_owned_allowed": True, "verified_allowed": False, "patterns_allowed": []},
    ),
    (
        "let tokens only read unless a job says otherwise",
        "/workflow",
        {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False},
    ),
)
PUBLIC_ACTIONS: Final = (
    "let pull requests of forks wait for an approval",
    "/fork-pr-contributor-approval",
    {"approval_policy": "all_external_contributors"},
)


def look_at_actions(repository: Repository, public: bool) -> list[Change]:
    """Look which actions may run, and what tokens may do."""
    found = repository.find() or {"private": not public}
    selected = True
    changes = []
    for text, name, body in (*ACTIONS, *([] if found["private"] else [PUBLIC_ACTIONS])):
        path = f"{repository.base}/actions/permissions{name}"
        # GitHub refuses to say which actions are selected where others may run, too.
        skipped = name == SELECTED and not selected
        current = {} if skipped else repository.api.call("GET", path, missing={})
        if not name:
            selected = current.get("allowed_actions") == "selected"
        if not _covers(current, body):
            act = partial(_change_setting, repository, path, current, body)
            changes.append(Change(text, act))
    return changes


def _change_setting(repository: Repository, path: str, current: Any, body: Any) -> None:
    """Change a setting of Actions, if the organization allows it."""
    try:
        repository.change_setting(path, current, body)
    except RefusedError as error:
        if error.status != 409:
            raise
        fix = "Ask an owner of the organization, which decides about it."
        raise Limit(str(error), fix) from error


def look_at_rules(repository: Repository, reviewers: int) -> list[Change]:
    """Look whether main needs a pull request whose checks have passed."""
    path = f"{repository.base}/rulesets"
    try:
        listed = repository.api.call("GET", f"{path}?includes_parents=false", missing=[])
    except Limit:
        listed = []  # the attempt to create them says it again
    known = next((one["id"] for one in listed if one["name"] == RULESET), None)
    if known is None:
        body = _rules(repository, reviewers)
        text = f"require a pull request and its checks {' and '.join(CHECKS)}"
        return [Change(text, lambda: _create(repository, path, body))]
    current = repository.api.call("GET", f"{path}/{known}")
    body = _rules(repository, reviewers or _approvals(current))
    if _covers(current, body):
        return []
    return [
        Change("bring them up to date", lambda: repository.api.call("PUT", f"{path}/{known}", body))
    ]


def find_rules(repository: Repository, path: str) -> str:
    """Return a path with the id of the rules instead of their name, or "" if they are gone."""
    head, _, name = path.rpartition("/")
    if name != RULESET or not head.endswith("/rulesets"):
        return path
    listed = repository.api.call("GET", f"{head}?includes_parents=false", missing=[])
    return next((f"{head}/{one['id']}" for one in listed if one["name"] == RULESET), "")


def _create(repository: Repository, path: str, body: dict[str, Any]) -> None:
    # By name: its id is not known before.
    repository.record.add(Undo("the rules for main", SERVICE, "DELETE", f"{path}/{RULESET}"))
    repository.api.call("POST", path, body)


def _rules(repository: Repository, reviewers: int) -> dict[str, Any]:
    """Return the rules for main, for the number of people who review."""
    others = reviewers > 1  # a person who works alone could merge nothing
    app = _actions_app(repository)
    source = {} if app is None else {"integration_id": app}  # nobody else may report a check
    review = {
        "required_approving_review_count": int(others),
        "require_code_owner_review": others,
        "dismiss_stale_reviews_on_push": True,
        "require_last_push_approval": False,
        "required_review_thread_resolution": False,
    }
    checks = {
        "required_status_checks": [{"context": name, **source} for name in CHECKS],
        "strict_required_status_checks_policy": False,
    }
    return {
        "name": RULESET,
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [
            {"type": "deletion"},
            {"type": "non_fast_forward"},
            {"type": "pull_request", "parameters": review},
            {"type": "required_status_checks", "parameters": checks},
        ],
    }


def _actions_app(repository: Repository) -> int | None:
    """Return the id of GitHub Actions on this server, if it tells."""
    try:
        found = repository.api.call("GET", "apps/github-actions", missing={})
    except RefusedError as error:
        if error.status != 403:
            raise
        return None
    return int(found["id"]) if "id" in found else None


def _approvals(rules: dict[str, Any]) -> int:
    """Return for how many reviewers the rules were made."""
    counts = [
        rule["parameters"]["required_approving_review_count"]
        for rule in rules["rules"]
        if rule["type"] == "pull_request"
    ]
    return 1 + max(counts, default=0)


def _covers(current: Any, wanted: Any) -> bool:
    """Return whether an answer has everything that is wanted, and maybe more."""
    if isinstance(wanted, dict):
        return isinstance(current, dict) and all(
            name in current and _covers(current[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return len(current) == len(wanted) and all(
            any(_covers(one, other) for one in current) for other in wanted
        )
    return bool(current == wanted)
