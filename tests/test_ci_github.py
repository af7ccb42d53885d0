"""What a job asks of GitHub and writes there: approvals, comments, issues, and what it does when GitHub refuses."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doubles.github import BOT, LONGEST_BODY, Environment, GitHub, Token, running_github
from rendering import ROOT

RUN = "5"
APPROVED = ("approved", "carol", "production")
MARKER = "<!-- marker -->"


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    with running_github(tmp_path) as github:
        github.tokens["job"] = Token("job", {"actions": "read", "issues": "write"})
        github.environments["production"] = Environment(("carol", "dave"))
        yield github


@pytest.fixture
def job(github: GitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The current job, by its environment; the module is read from the template, since it needs nothing installed."""
    monkeypatch.syspath_prepend(ROOT / "{{cookiecutter.project_slug}}" / "src")
    module = importlib.import_module("mlops.ci.github")
    monkeypatch.setattr("time.sleep", lambda _: None)
    (tmp_path / "event.json").write_text(json.dumps({"number": 7}), encoding="utf-8")
    return module.CurrentJob(variables(github, tmp_path))


def variables(github: GitHub, folder: Path, **changes: str) -> dict[str, str]:
    return {
        "GITHUB_API_URL": github.url,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "ORG/credit-risk",
        "GITHUB_RUN_ID": RUN,
        "GITHUB_TOKEN": "job",
        "GITHUB_EVENT_NAME": "workflow_dispatch",
        "GITHUB_TRIGGERING_ACTOR": "alice",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        **changes,
    }


def review(state: str, login: str, environment: str) -> dict[str, Any]:
    return {"state": state, "user": {"login": login}, "environments": [{"name": environment}]}


@pytest.mark.parametrize(
    ("reviews", "by"),
    [
        ([APPROVED], "carol, reviewer"),
        ([("rejected", "dave", "production"), APPROVED], "carol, reviewer"),
        ([APPROVED, ("approved", "dave", "production")], "dave, reviewer"),
    ],
)
def test_the_reviewer_is_named(reviews: list[tuple[str, str, str]], by: str, github: GitHub, job: Any) -> None:
    github.approvals[RUN] = [review(*one) for one in reviews]
    assert job.approver("production") == by


@pytest.mark.parametrize(
    "reviews",
    [
        [],
        [("rejected", "carol", "production")],
        [("pending", "carol", "production")],
        [("approved", "carol", "staging")],
    ],
)
def test_a_run_that_nobody_approved_is_refused(reviews: list[tuple[str, str, str]], github: GitHub, job: Any) -> None:
    github.approvals[RUN] = [review(*one) for one in reviews]
    github.approvals["4"] = [review(*APPROVED)]  # of another run
    with pytest.raises(Exception, match="GitHub knows no approval of this run for production"):
        job.approver("production", ("alice",))


def test_an_environment_that_all_branches_may_use_is_refused(github: GitHub, job: Any) -> None:
    github.environments["production"].branches = None
    github.approvals[RUN] = [review(*APPROVED)]
    with pytest.raises(Exception, match="Every branch may deploy to the environment production"):
        job.approver("production")


@pytest.mark.parametrize("settings", [Environment(), None], ids=["no reviewers", "no environment"])
@pytest.mark.parametrize(
    ("releasers", "changes", "by"),
    [
        (("alice",), {}, "alice, by hand"),
        (("alice",), {"GITHUB_EVENT_NAME": "push"}, ""),
        (("bob",), {}, ""),
        ((), {}, ""),
    ],
)
def test_without_reviewers_only_a_listed_person_releases_by_hand(
    settings: Environment | None,
    releasers: tuple[str, ...],
    changes: dict[str, str],
    by: str,
    github: GitHub,
    job: Any,
    tmp_path: Path,
) -> None:
    del github.environments["production"]
    if settings:
        github.environments["production"] = settings
    current = type(job)(variables(github, tmp_path, **changes))
    if by:
        assert current.approver("production", releasers) == by
        return
    with pytest.raises(Exception, match="The environment production has no required reviewers") as refusal:
        current.approver("production", releasers)
    assert "serving.production.releasers" in refusal.value.fix  # type: ignore[attr-defined]


def test_a_right_that_lacks_is_named(github: GitHub, job: Any) -> None:
    github.tokens["job"] = Token("job", {"contents": "read"})
    with pytest.raises(Exception, match="Resource not accessible by integration") as refusal:
        job.approver("production")
    assert refusal.value.fix == "Give the job these permissions: actions=read."  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", [(429, {"Retry-After": "1"}), (403, {"Retry-After": "1"}), (502, {})])
def test_a_passing_fault_is_retried(fault: tuple[int, dict[str, str]], github: GitHub, job: Any) -> None:
    github.approvals[RUN] = [review(*APPROVED)]
    github.faults = [fault] * 2
    assert job.approver("production") == "carol, reviewer"


def test_what_may_have_been_written_is_not_written_again(github: GitHub, job: Any) -> None:
    github.faults = [None, (502, {})]
    with pytest.raises(Exception, match="GitHub refused POST /issues/7/comments"):
        job.comment(MARKER, "text")
    assert [call.method for call in github.calls] == ["GET", "POST"]


def test_one_comment_is_kept_up_to_date(github: GitHub, job: Any) -> None:
    theirs = {"issue": 7, "user": {"login": "mallory"}, "body": f"{MARKER} mine"}
    github.comments = [{"id": number, **theirs} for number in range(1, 151)]
    job.comment(MARKER, "first")
    job.comment(MARKER, "second")
    assert [one["body"] for one in github.comments if one["user"]["login"] == BOT] == [f"{MARKER}\nsecond"]
    assert all(one["body"] == f"{MARKER} mine" for one in github.comments[:150])


def test_a_long_comment_is_cut_to_what_github_takes(github: GitHub, job: Any) -> None:
    job.comment(MARKER, "x" * (2 * LONGEST_BODY))
    assert len(github.comments[0]["body"]) <= LONGEST_BODY


def test_one_issue_is_opened_updated_and_closed(github: GitHub, job: Any) -> None:
    github.issues.append({"number": 1, "state": "open", "user": {"login": "mallory"}, "title": "Drift", "body": "mine"})
    for text in ("", "first", "second", "", ""):
        job.issue("Drift", text)
    assert [(one["user"]["login"], one["state"], one["body"]) for one in github.issues] == [
        ("mallory", "open", "mine"),
        (BOT, "closed", "second"),
    ]


def test_outputs_of_several_lines_define_no_other_outputs(job: Any, tmp_path: Path) -> None:
    job.output("drift", "one\nplan=forged")
    job.output("plan", "true")
    lines = (tmp_path / "output").read_text(encoding="utf-8").splitlines()
    end = lines[0].removeprefix("drift<<")
    assert lines[1:4] == ["one", "plan=forged", end]
    assert lines[4].startswith("plan<<")


def test_a_large_summary_is_cut_to_what_github_shows(job: Any, tmp_path: Path) -> None:
    job.summary("é" * 1_000_000)
    assert (tmp_path / "summary").stat().st_size <= 1024 * 1024
