"""`mlops connect` on GitHub, up to Azure: every call of the real gh, interruptions, and a GitHub in trouble."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from connecting import Bench, bench
from doubles.github import Fault
from rendering import Render, git, read_files

REPOSITORY = "octo/credit-risk"
WEBHOOK = "https://hooks.example.com/T0?a=b&c='\"$(id)`%41\\n;é"
ONLY_MAIN = '{"deployment_branch_policy": {"custom_branch_policies": true, "protected_branches": false}'
REVIEWED = f'{ONLY_MAIN}, "prevent_self_review": false, "reviewers": [{{"id": 11, "type": "User"}}]}}'


@pytest.fixture
def person(render: Render, tmp_path: Path) -> Iterator[Bench]:
    with bench(render({"repository": REPOSITORY}), tmp_path) as found:
        yield found


def environment(name: str) -> list[str]:
    body = REVIEWED if name in ("production", "production-infra") else f"{ONLY_MAIN}}}"
    policy = f'POST /environments/{name}/deployment-branch-policies {{"name": "main", "type": "branch"}}'
    return [f"PUT /environments/{name} {body}", policy]


# What a new repository gets before Azure, in this order.
CHANGES = [
    'POST /orgs/octo/repos {"name": "credit-risk", "private": true}',
    'PUT /actions/permissions {"allowed_actions": "selected", "enabled": true, "sha_pinning_required": true}',
    *(
        change
        for name in ("staging", "staging-plan", "staging-infra", "production", "production-plan", "production-infra")
        for change in environment(name)
    ),
    "PUT /environments/staging/secrets/MLOPS_WEBHOOK (encrypted)",
]


def test_every_change_in_order_and_none_again(person: Bench) -> None:
    done = person.connect(MLOPS_WEBHOOK=WEBHOOK)
    assert done.returncode == 1, done.stdout  # Azure is missing
    *changes, rules = person.changes()
    assert changes == CHANGES
    assert json.loads(rules.removeprefix("POST /rulesets ")) == {
        "name": "mlops",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [
            {"type": "deletion"},
            {"type": "non_fast_forward"},
            {
                "type": "pull_request",
                "parameters": {
                    "required_approving_review_count": 0,
                    "require_code_owner_review": False,
                    "dismiss_stale_reviews_on_push": True,
                    "require_last_push_approval": False,
                    "required_review_thread_resolution": False,
                },
            },
            {
                "type": "required_status_checks",
                "parameters": {
                    "required_status_checks": [
                        {"context": "Check", "integration_id": 15368},
                        {"context": "Model", "integration_id": 15368},
                    ],
                    "strict_required_status_checks_policy": False,
                },
            },
        ],
    }
    assert person.github.environments["staging"].secrets == {"MLOPS_WEBHOOK": WEBHOOK}
    assert "Error: waits for Azure: az is not on the PATH" in done.stdout
    state, calls = person.state(), len(person.github.calls)
    assert state["messages"] == [
        "Let Azure know this repository's tokens: infra/production.tfvars",
        "Let Azure know this repository's tokens: infra/staging.tfvars",
        "Render mlops-template",
    ]
    assert state["pushed"]
    assert state["left"] == ""
    again = person.connect(MLOPS_WEBHOOK="https://hooks.example.com/another")
    assert again.returncode == 1
    assert person.changes(calls) == []
    assert person.state() == state


def test_the_first_commit_is_the_render(person: Bench, render: Render) -> None:
    person.connect()
    first = git(person.project, "rev-list", "--max-parents=0", "HEAD").strip()
    copy = person.folder / "first"
    git(person.folder, "clone", "--quiet", str(person.project), str(copy))
    git(copy, "checkout", "--quiet", first)
    files = {name: content for name, content in read_files(copy).items() if not name.startswith(".git/")}
    assert files == read_files(render({"repository": REPOSITORY}))


def test_a_dry_run_tells_every_change_and_makes_none(person: Bench) -> None:
    before = read_files(person.project)
    done = person.connect("--dry-run")
    assert done.returncode == 0, done.stdout
    assert person.changes() == []
    assert read_files(person.project) == before
    assert "create https://github.com/octo/credit-risk, private" in done.stdout
    assert "Nothing was done." in done.stdout


def test_without_consent_nothing_is_done(person: Bench) -> None:
    done = person.connect("--project", ".")
    assert done.returncode == 2
    assert "There is no terminal to ask at. Nothing was done." in done.stdout
    assert person.changes() == []


def test_killed_after_each_change_it_ends_the_same(person: Bench, render: Render, tmp_path: Path) -> None:
    """One run after the other is killed as soon as GitHub has made a change, until one finds nothing to change."""
    with bench(render({"repository": REPOSITORY}), tmp_path / "calm") as calm:
        calm.connect(MLOPS_WEBHOOK=WEBHOOK)
        wanted = calm.state()
    person.variables["MLOPS_WEBHOOK"] = WEBHOOK
    killed = 0
    while (done := person.killed_at(1)).returncode < 0:
        killed += 1
        assert killed <= len(CHANGES) + 1, done.stdout
    assert killed == len(CHANGES) + 1
    assert comparable(person.state()) == comparable(wanted)


def comparable(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "tree": ""}


@pytest.mark.parametrize("is_carried_out", [False, True])
def test_broken_connections_lose_no_change(person: Bench, is_carried_out: bool) -> None:
    """Each kind of change loses its answer once."""
    person.variables["MLOPS_WEBHOOK"] = WEBHOOK
    for method, path in (
        ("POST", "/orgs/octo/repos"),
        ("PUT", "/actions/permissions"),
        ("PUT", "/environments/staging$"),
        ("POST", "/deployment-branch-policies"),
        ("PUT", "/secrets/"),
        ("POST", "/rulesets"),
    ):
        person.github.planted.append(Fault("dropped", method, path, is_carried_out=is_carried_out))
    for _ in range(7):
        done = person.connect()
        if "waits for Azure" in done.stdout:
            break
        assert "To continue: " in done.stdout
    state = person.state()
    assert set(state["environments"]) == {
        f"{name}{suffix}" for name in ("staging", "production") for suffix in ("", "-plan", "-infra")
    }
    assert [one["name"] for one in state["rulesets"]] == ["mlops"]
    assert state["environments"]["staging"]["secrets"] == {"MLOPS_WEBHOOK": WEBHOOK}
    calls = len(person.github.calls)
    person.connect()
    assert person.changes(calls) == []
