"""`mlops connect` on GitHub, up to Azure: every call of the real gh, interruptions, and a GitHub in trouble."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from connecting import TOKEN, Bench, bench
from doubles.github import Fault
from rendering import Render, git, read_files

REPOSITORY = "octo/credit-risk"
# Every call of the first run, in order: the looks of the plan, then each step's look and changes.
CALLS = Path(__file__).parent / "fixtures" / "connect_github.txt"
WEBHOOK = "https://hooks.example.com/T0?a=b&c='\"$(id)`%41\\n;é"
ONLY_GITHUBS = '{"github_owned_allowed": true, "patterns_allowed": [], "verified_allowed": false}'
ONLY_MAIN = '{"deployment_branch_policy": {"custom_branch_policies": true, "protected_branches": false}'
ASKING = '"prevent_self_review": false, "reviewers": [{"id": 11, "type": "User"}]}'
REVIEWED = f'{{"can_admins_bypass": false, {ONLY_MAIN[1:]}, {ASKING}'


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
    f"PUT /actions/permissions/selected-actions {ONLY_GITHUBS}",
    *(
        change
        for name in ("staging", "staging-plan", "staging-infra", "production", "production-plan", "production-infra")
        for change in environment(name)
    ),
    "PUT /environments/staging/secrets/MLOPS_WEBHOOK (encrypted)",
]


def test_every_call_in_order_and_no_change_again(person: Bench) -> None:
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
    assert "First training: waits for Azure: az is not on the PATH" in done.stdout
    assert person.calls() == CALLS.read_text(encoding="utf-8").splitlines()
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


def test_the_versions_of_the_provider_are_committed(person: Bench) -> None:
    """Terraform writes them; before main is protected, they are pushed."""
    person.connect()
    lock = person.project / "infra" / ".terraform.lock.hcl"
    lock.write_text("# as Terraform writes it\n", encoding="utf-8")
    done = person.connect()
    assert "Terraform's provider: commit and push infra/.terraform.lock.hcl" in done.stdout
    state = person.state()
    assert (state["left"], state["pushed"]) == ("", True)


def test_a_dry_run_tells_every_change_and_makes_none(person: Bench) -> None:
    before = read_files(person.project)
    done = person.connect("--dry-run")
    assert done.returncode == 0, done.stdout
    assert person.changes() == []
    assert read_files(person.project) == before
    assert "create https://github.com/octo/credit-risk, private" in done.stdout
    assert "A dry run: 15 changes, none of them made." in done.stdout


def test_without_consent_nothing_is_done(person: Bench) -> None:
    done = person.connect("--project", ".")
    assert done.returncode == 2
    assert "There is no terminal to ask at. Nothing was done." in done.stdout
    assert person.changes() == []


@pytest.mark.parametrize("changes", [5, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_killed_again_and_again_it_ends_the_same(person: Bench, render: Render, tmp_path: Path, changes: int) -> None:
    """One run after the other is killed when GitHub has made some changes, until one has nothing left to change."""
    with bench(render({"repository": REPOSITORY}), tmp_path / "calm") as calm:
        calm.connect(MLOPS_WEBHOOK=WEBHOOK)
        wanted = calm.state()
    person.variables["MLOPS_WEBHOOK"] = WEBHOOK
    killed = 0
    while (done := person.killed_at(changes)).returncode < 0:
        killed += 1
        assert killed * changes <= len(CHANGES) + 1, done.stdout
    assert killed >= len(CHANGES) // changes  # a new look finds one of the settings as it should be
    assert {**person.state(), "tree": ""} == {**wanted, "tree": ""}


@pytest.mark.parametrize("is_carried_out", [True, pytest.param(False, marks=pytest.mark.exhaustive)])
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
        if "be reached" not in done.stdout and "gh cannot store" not in done.stdout:
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


@pytest.mark.parametrize(
    ("fault", "error", "fix"),
    [
        (
            Fault("bad-credentials", "GET", "/user$", count=9),
            "GitHub refused GET user: Bad credentials (HTTP 401).",
            "The login is not valid any more: replace GH_TOKEN",
        ),
        (
            Fault("missing-scope", "POST", "/repos$"),
            "GitHub refused POST orgs/octo/repos: Forbidden (HTTP 403).",
            "gh auth refresh --hostname github.com --scopes repo",
        ),
        (
            Fault("sign-on", "POST", "/repos$"),
            "GitHub refused POST orgs/octo/repos: Resource protected by organization SAML enforcement (HTTP 403).",
            "Authorize the login for the organization: https://github.com/orgs/acme/sso?authorization_request=AA",
        ),
        (
            Fault("missing-right", "PUT", "/environments/staging$"),
            "GitHub refused PUT repos/octo/credit-risk/environments/staging: Resource not accessible by personal",
            "Give the token these permissions on the repository: administration=write",
        ),
        (
            Fault("not-found", "POST", "/rulesets$"),
            "GitHub refused POST repos/octo/credit-risk/rulesets: Not Found (HTTP 404).",
            "Ask an administrator of the repository, or become one.",
        ),
        (
            Fault("conflict", "POST", "/repos$"),
            "GitHub refused POST orgs/octo/repos: Conflict (HTTP 409).",
            "Correct what GitHub names.",
        ),
        (
            Fault("invalid", "POST", "/deployment-branch-policies$"),
            "/environments/staging/deployment-branch-policies: Validation Failed (HTTP 422).",
            "Correct what GitHub names.",
        ),
        (
            Fault("bad-gateway", "POST", "/repos$"),
            "GitHub refused POST orgs/octo/repos: Bad Gateway (HTTP 502).",
            "Wait a few minutes.",
        ),
        (
            Fault("dropped", "POST", "/repos$"),
            "github.com cannot be reached for POST orgs/octo/repos: ",
            "Check the network, the proxy and https://www.githubstatus.com.",
        ),
    ],
    ids=lambda value: f"{value.kind} {value.method} {value.path}" if isinstance(value, Fault) else "",
)
def test_github_in_trouble(person: Bench, fault: Fault, error: str, fix: str) -> None:
    person.github.planted.append(fault)
    done = person.connect()
    assert done.returncode == 1
    assert error in done.stdout
    assert f"Fix: {fix}" in done.stdout
    assert "Traceback" not in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("To continue: ")


@pytest.mark.parametrize(
    "kind",
    ["limited-forbidden", *(pytest.param(one, marks=pytest.mark.exhaustive) for one in ("limited", "bad-gateway"))],
)
def test_a_busy_github_is_asked_again(person: Bench, kind: str) -> None:
    method, path = ("PUT", "/actions/permissions$") if kind == "bad-gateway" else ("POST", "/repos$")
    person.github.planted.append(Fault(kind, method, path, count=2))
    done = person.connect()
    assert "Not done:\n  Azure for staging; " in done.stdout
    asked = [call.status for call in person.github.calls if call.method == method and call.path.endswith(path[:-1])]
    assert asked[:2] == [{"limited": 429, "limited-forbidden": 403, "bad-gateway": 502}[kind]] * 2


def test_the_scopes_are_checked_before_anything_is_done(person: Bench) -> None:
    person.github.tokens[TOKEN] = person.github.tokens[person.github.person("alice", scopes=("gist", "repo"))]
    done = person.connect()
    assert done.returncode == 2
    assert "Error: gh's login lacks the scopes workflow.\nFix: gh auth refresh --hostname github.com" in done.stdout
    assert person.changes() == []


def test_a_fine_grained_token_is_enough_with_the_permissions_that_the_docs_list(person: Bench) -> None:
    page = (person.project / "docs" / "github-actions.md").read_text(encoding="utf-8")
    listed = " ".join(page.split()).partition("with write access to ")[2].partition(".")[0]
    permissions = dict.fromkeys(listed.lower().replace(" and ", ", ").split(", "), "write")
    assert len(permissions) == 6
    person.github.create("octo", "credit-risk", "alice")
    person.github.tokens[TOKEN] = person.github.tokens[person.github.person("alice", scopes=None, **permissions)]
    done = person.connect(MLOPS_WEBHOOK=WEBHOOK)
    assert "Not done:\n  Azure for staging; " in done.stdout, done.stdout
    assert person.github.environments["staging"].secrets == {"MLOPS_WEBHOOK": WEBHOOK}


def test_a_repository_with_other_content_is_left_alone(person: Bench) -> None:
    person.github.create("octo", "credit-risk", "alice")
    other = person.folder / "other"
    git(person.folder, "init", "--quiet", "--initial-branch", "main", str(other))
    (other / "README.md").write_text("Something else.\n", encoding="utf-8")
    git(other, "add", "--all")
    git(other, "commit", "--quiet", "--message", "Another project")
    git(other, "push", "--quiet", str(person.remote), "main")
    done = person.connect()
    assert done.returncode == 1
    assert "/octo/credit-risk.git has other content: its main is at " in done.stdout
    assert git(person.remote, "rev-parse", "main") == git(other, "rev-parse", "main")
    assert person.changes() == []


def test_a_repository_of_others_is_left_alone(person: Bench) -> None:
    person.github.create("octo", "credit-risk", "bob", private=False)
    done = person.connect()
    assert done.returncode == 1
    assert "Error: alice may not administer https://github.com/octo/credit-risk." in done.stdout
    assert person.changes() == []


@pytest.mark.parametrize(
    ("reviewer", "code", "error"),
    [
        ("nobody", 2, "Error: GitHub knows no person nobody."),
        ("octo/nobody", 2, "Error: GitHub knows no team octo/nobody."),
        ("bob", 1, "PUT repos/octo/credit-risk/environments/production: "),  # no collaborator
    ],
)
def test_a_reviewer_who_cannot_review(person: Bench, reviewer: str, code: int, error: str) -> None:
    done = person.connect("--yes", "--reviewer", reviewer)
    assert done.returncode == code, done.stdout
    assert error in done.stdout
    assert "production" not in person.github.environments


def test_reviewers_stay_until_others_are_named(person: Bench) -> None:
    person.connect("--yes", "--reviewer", "octo/owners", "--reviewer", "alice", "--wait-timer", "30")
    production = person.github.environments["production"]
    assert production.reviewers == ("octo/owners", "alice")
    assert production.wait_minutes == 30
    assert production.prevent_self_review
    assert person.github.environments["production-infra"].reviewers == ("octo/owners", "alice")
    [rules] = person.github.rulesets
    reviews = [rule["parameters"] for rule in rules["rules"] if rule["type"] == "pull_request"]
    assert [one["required_approving_review_count"] for one in reviews] == [1]
    calls = len(person.github.calls)
    person.connect()
    assert person.changes(calls) == []
    person.connect("--yes", "--reviewer", "alice")
    assert person.github.environments["production"].reviewers == ("alice",)


def test_on_a_plan_without_reviewers_nobody_is_asked_and_it_says_so(person: Bench) -> None:
    person.github.plan = "pro"
    done = person.connect()
    assert done.returncode == 1
    assert "Environment production: Nobody is asked before production changes: GitHub refused PUT" in done.stdout
    assert "Name in project.yml who may release by hand (serving.production.releasers)" in done.stdout
    assert {name: one.branches for name, one in person.github.environments.items()} == dict.fromkeys(
        ("staging", "staging-plan", "staging-infra", "production", "production-plan", "production-infra"), ("main",)
    )
    assert [one["name"] for one in person.github.rulesets] == ["mlops"]


def test_on_that_plan_releasers_are_enough(person: Bench) -> None:
    person.github.plan = "pro"
    file = person.project / "project.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("    steps: [10,", "    releasers: [alice]\n    steps: [10,"), encoding="utf-8")
    done = person.connect()
    assert "Not done:\n  Azure for staging; " in done.stdout
    calls = len(person.github.calls)
    person.connect()
    assert person.changes(calls) == []


def test_on_a_plan_without_environments_nothing_needs_azure(person: Bench) -> None:
    person.github.plan = "free"
    done = person.connect()
    assert done.returncode == 1
    assert "Environment staging: GitHub has no environments for https://github.com/octo/credit-risk: " in done.stdout
    assert "Change the plan, or make the repository public." in done.stdout
    assert person.github.environments == {}


def test_a_setting_that_the_organization_forbids_is_told(person: Bench) -> None:
    person.github.forbidden.add("/workflow")
    person.github.actions["/workflow"] = {"default_workflow_permissions": "write"}
    done = person.connect()
    assert done.returncode == 1
    assert "Actions: GitHub refused PUT repos/octo/credit-risk/actions/permissions/workflow: Conflict" in done.stdout
    assert "Fix: Ask an owner of the organization, which decides about it." in done.stdout
    assert "production-infra" in person.github.environments  # the other steps went on


def test_a_public_repository_lets_forks_wait(person: Bench) -> None:
    person.connect("--yes", "--public")
    assert person.github.repository
    assert not person.github.repository.private
    assert person.github.actions["/fork-pr-contributor-approval"] == {"approval_policy": "all_external_contributors"}


@pytest.mark.parametrize(
    "value", ["http://hooks.example.com/planted", "https://", "planted word", "https://x/\n planted"]
)
def test_what_is_no_address_is_not_stored_as_the_webhook(person: Bench, value: str) -> None:
    done = person.connect(MLOPS_WEBHOOK=value)
    assert done.returncode == 2
    assert "Error: MLOPS_WEBHOOK is not the address of a webhook." in done.stdout
    assert "planted" not in done.stdout
    assert person.changes() == []


def test_an_empty_webhook_is_none(person: Bench) -> None:
    """gh would store an empty secret."""
    done = person.connect("--dry-run", MLOPS_WEBHOOK=" ")
    assert done.returncode == 0
    assert "[x] Webhook" in done.stdout
