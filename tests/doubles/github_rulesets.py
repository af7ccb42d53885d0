"""Rulesets. Sources besides the OpenAPI description: a taken name, create-typescript-app#1950; no list of excluded
branches, tinyhumansai/opencompany#2299; a private repository on Free, FuseDevelopmentGroup#58.
"""

from collections.abc import Mapping
from typing import Any

from doubles.github_store import IN, Reply, Request, Route, Store, not_found, page, refuse

UPGRADE = "Upgrade to GitHub Pro or make this repository public to enable this feature."
MOST_APPROVALS = 10
PARAMETERS = {
    "pull_request": {
        "dismiss_stale_reviews_on_push": bool,
        "require_code_owner_review": bool,
        "require_last_push_approval": bool,
        "required_approving_review_count": int,
        "required_review_thread_resolution": bool,
    },
    "required_status_checks": {"required_status_checks": list, "strict_required_status_checks_policy": bool},
}


def _is_valid(rule: Mapping[str, Any]) -> bool:
    """Return whether a rule has the parameters that it needs."""
    given = rule.get("parameters", {})
    needed = PARAMETERS.get(rule["type"], {})
    return (
        all(type(given.get(name)) is kind for name, kind in needed.items())
        and 0 <= given.get("required_approving_review_count", 0) <= MOST_APPROVALS
        and all("context" in check for check in given.get("required_status_checks", ()))
    )


def _refusal(github: Store, content: Mapping[str, Any], number: int = 0) -> Reply | None:
    """Return why GitHub refuses a ruleset with these values, or None."""
    enforcements = ("disabled", "active", *(["evaluate"] if github.plan == "enterprise" else []))
    if "name" not in content or content.get("enforcement") not in enforcements:
        return refuse(422, "Invalid request")
    if not all(_is_valid(rule) for rule in content.get("rules", ())):
        return refuse(422, "Invalid request")
    names = (content.get("conditions") or {}).get("ref_name")
    if names is not None and not {"include", "exclude"} <= names.keys():
        return refuse(422, "Validation Failed", "Invalid target patterns: ''")
    if any(one["name"] == content["name"] and one["id"] != number for one in github.rulesets):
        return refuse(422, "Validation Failed", "Name must be unique")
    return None


def _rulesets(github: Store, request: Request) -> Reply:
    if not github.has("pro"):
        return refuse(403, UPGRADE)
    if request.method == "GET":
        kept = ("id", "name", "target", "source_type", "source", "enforcement")
        return 200, page([{key: one[key] for key in kept} for one in github.rulesets], request.query)
    refusal = _refusal(github, request.content)
    if refusal:
        return refusal
    origin = {"source_type": "Repository", "source": github.existing.full_name}
    number = github.number(f"ruleset {request.content['name']}")
    made = {"id": number, "target": "branch", "bypass_actors": [], **origin, **request.content}
    github.rulesets.append(made)
    return 201, made


def _ruleset(github: Store, request: Request, number: str) -> Reply:
    if not github.has("pro"):
        return refuse(403, UPGRADE)
    found = next((one for one in github.rulesets if one["id"] == int(number)), None)
    if found is None:
        return not_found()
    if request.method == "DELETE":
        github.rulesets.remove(found)
        return 204, None
    if request.method == "PUT":
        refusal = _refusal(github, found | request.content, found["id"])
        if refusal:
            return refusal
        found.update(request.content)
    return 200, found


READ, ADMIN = (), (("administration", "write"),)
ROUTES = (
    Route("GET", f"{IN}/rulesets", READ, _rulesets),
    Route("POST", f"{IN}/rulesets", ADMIN, _rulesets),
    Route("GET", rf"{IN}/rulesets/(?P<number>\d+)", READ, _ruleset),
    Route("PUT", rf"{IN}/rulesets/(?P<number>\d+)", ADMIN, _ruleset),
    Route("DELETE", rf"{IN}/rulesets/(?P<number>\d+)", ADMIN, _ruleset),
)
