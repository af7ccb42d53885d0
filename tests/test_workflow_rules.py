"""What act cannot show of the workflows, read from their files: rights, environments, queues, time limits, triggers."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from doubles.github import LEVELS
from post_gen_project import KEPT_BY
from rendering import ROOT, Render
from workflows.page import PAGE, table
from workflows.repository import load
from workflows.rules import Workflow, rights

TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
# The jobs that reach Azure, by environment: whose identity they get, and whose approval they need.
ENVIRONMENTS = {
    "drift.yml": {"plan-staging": "staging-plan", "plan-production": "production-plan"},
    "infra.yml": {
        "plan-staging": "staging-plan",
        "apply-staging": "staging-infra",
        "plan-production": "production-plan",
        "apply-production": "production-infra",
    },
    "monitor.yml": {"monitor": "production-plan"},
    "pull-request.yml": {},
    "release.yml": {"staging": "staging", "production": "production"},
    "rollback.yml": {"rollback": "production"},
    "train.yml": {"train": "staging"},
}
# The only rights to write, besides logging in to Azure.
WRITERS = {
    ("drift.yml", "issue"): {"issues": "write"},
    ("pull-request.yml", "comment"): {"pull-requests": "write"},
    ("train.yml", "follow"): {"actions": "write"},
}
PULL_REQUEST = "pull-request.yml"


@pytest.fixture(scope="module")
def workflows(render: Render) -> dict[str, Workflow]:
    folder = render({}) / ".github" / "workflows"
    return {file.name: load(file) for file in sorted(folder.iterdir())}


def jobs(workflows: dict[str, Workflow]) -> Iterator[tuple[str, str, Workflow, Workflow]]:
    for file, workflow in workflows.items():
        for name, job in workflow["jobs"].items():
            yield file, name, workflow, job


def steps(workflows: dict[str, Workflow]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for file, name, _, job in jobs(workflows):
        for step in job.get("steps", ()):
            yield file, name, step


def test_each_job_names_the_environment_of_its_identity(workflows: dict[str, Workflow]) -> None:
    found: dict[str, dict[str, str]] = {file: {} for file in workflows}
    for file, name, workflow, job in jobs(workflows):
        logs_in = rights(workflow, job).get("id-token") == "write"
        assert logs_in == ("environment" in job) or "uses" in job, f"{file}: {name}"
        if "environment" in job:
            found[file][name] = job["environment"]
    assert found == ENVIRONMENTS


def test_no_job_may_write_more_than_it_needs(workflows: dict[str, Workflow]) -> None:
    found = {}
    for file, name, workflow, job in jobs(workflows):
        assert workflow["permissions"] == {}, f"{file}: a new job would get rights"
        given = rights(workflow, job)
        writes = {right: level for right, level in given.items() if level == "write" and right != "id-token"}
        if writes:
            found[file, name] = writes
    assert found == WRITERS


def test_a_pull_request_starts_nothing_that_has_rights(workflows: dict[str, Workflow]) -> None:
    started = {file for file, workflow in workflows.items() if "pull_request" in str(workflow["on"])}
    assert started == {PULL_REQUEST}
    assert "secrets" not in (TEMPLATE / ".github" / "workflows" / PULL_REQUEST).read_text(encoding="utf-8")
    assert "pull_request_target" not in workflows[PULL_REQUEST]["on"]


def test_jobs_with_rights_use_nothing_that_a_pull_request_has_made(workflows: dict[str, Workflow]) -> None:
    """Caches and artifacts: only jobs without rights use them, and the one that comments reads an artifact as data."""
    found = set()
    for file, name, step in steps(workflows):
        uses = step.get("uses", "")
        if "cache" in uses or "artifact" in uses or step.get("with", {}).get("cached") == "true":
            found.add((file, name))
    assert found == {(PULL_REQUEST, name) for name in ("check", "model", "comment")}


def test_the_job_that_comments_runs_the_target_s_code(workflows: dict[str, Workflow]) -> None:
    checkout, *_ = workflows[PULL_REQUEST]["jobs"]["comment"]["steps"]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    others = [job for name, job in workflows[PULL_REQUEST]["jobs"].items() if name != "comment"]
    assert all("ref" not in job["steps"][0]["with"] for job in others)


def test_every_checkout_forgets_its_token(workflows: dict[str, Workflow]) -> None:
    checkouts = [step for _, _, step in steps(workflows) if "checkout" in step.get("uses", "")]
    assert len(checkouts) > 10
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_job_ends_in_time(workflows: dict[str, Workflow]) -> None:
    own = [(file, name, job) for file, name, _, job in jobs(workflows) if "uses" not in job]
    assert [f"{file}: {name}" for file, name, job in own if "timeout-minutes" not in job] == []
    train = workflows["train.yml"]["jobs"]["train"]
    minutes = re.search(r"--minutes (\d+)", str(train["steps"]))
    assert minutes
    assert int(minutes[1]) < train["timeout-minutes"] < 360, "a job of a hosted runner ends after six hours"


def test_nothing_that_changes_azure_is_cancelled_or_dropped(workflows: dict[str, Workflow]) -> None:
    """Whatever names an environment waits in a queue that keeps all, of the job or of its workflow."""
    for file, name, workflow, job in jobs(workflows):
        if "environment" in job:
            queue = job.get("concurrency") or workflow["concurrency"]
            assert queue["cancel-in-progress"] is False, f"{file}: {name}"
            assert queue["queue"] == "max", f"{file}: {name}"


def test_releases_queue_and_a_rollback_does_not_wait_for_their_approval(workflows: dict[str, Workflow]) -> None:
    release = workflows["release.yml"]
    groups = {name: job["concurrency"]["group"] for name, job in release["jobs"].items()}
    assert groups == {"staging": "staging", "production": "production"}
    assert workflows["rollback.yml"]["concurrency"]["group"] not in groups.values()
    caller = workflows["train.yml"]["concurrency"]["group"]
    assert caller not in groups.values(), "a called job would wait for its caller"


def test_a_called_workflow_gets_the_rights_that_its_jobs_need(workflows: dict[str, Workflow]) -> None:
    for file, name, workflow, job in jobs(workflows):
        if "uses" not in job:
            continue
        given, called = rights(workflow, job), workflows[job["uses"].rpartition("/")[2]]
        for other in called["jobs"].values():
            for right, level in rights(called, other).items():
                assert LEVELS.index(given.get(right, "none")) >= LEVELS.index(level), f"{file}: {name} lacks {right}"


def test_nothing_names_an_environment_before_somebody_has_protected_it(workflows: dict[str, Workflow]) -> None:
    """GitHub creates a missing environment, open to all; only a rollback asks for one at once, by hand."""
    for file, name, _, job in jobs(workflows):
        if "environment" in job and "needs" not in job and file != "rollback.yml":
            assert job["if"] == "${{ vars.AZURE_READY == 'true' }}", f"{file}: {name}"


def test_a_job_that_reaches_azure_can_run_inside_its_network(workflows: dict[str, Workflow]) -> None:
    for file, name, _, job in jobs(workflows):
        where = job.get("environment", "").partition("-")[0].upper()
        hosted = "ubuntu-24.04"
        wanted = f"${{{{ vars.RUNNER_{where} || '{hosted}' }}}}" if where else hosted
        assert job.get("runs-on", hosted) == wanted, f"{file}: {name}"


def test_steps_hold_no_logic(workflows: dict[str, Workflow]) -> None:
    """Every command is a verb or a tool; only what prepares a pull request's comparison takes several lines."""
    long = {f"{file}: {step['name']}" for file, _, step in steps(workflows) if step.get("run", "").strip().count("\n")}
    assert long == {
        f"{PULL_REQUEST}: Check the infrastructure",
        f"{PULL_REQUEST}: Train the target branch's model, the champion",
    }


def test_only_github_s_own_actions_are_used_and_each_by_its_commit(render: Render) -> None:
    files = [*(render({}) / ".github").rglob("*.yml")]
    used = {found for file in files for found in re.findall(r"uses: *(\S+)", file.read_text(encoding="utf-8"))}
    foreign = {one for one in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}|\./\.github/\S+", one)}
    assert foreign == set()


def test_the_files_of_github_are_those_of_its_choice() -> None:
    """A file that no choice keeps would be in every project."""
    kept = {path for choices in KEPT_BY.values() for paths in choices.values() for path in paths}
    made = {path.relative_to(TEMPLATE).as_posix() for path in (TEMPLATE / ".github").rglob("*") if path.is_file()}
    assert made <= kept


def test_the_page_lists_what_each_job_may_do(render: Render) -> None:
    page = (render({}) / "docs" / "github-actions.md").read_text(encoding="utf-8")
    assert PAGE.search(page)
    assert table(render({}) / ".github" / "workflows") in page, "run: python -m workflows.page, in tests/"
