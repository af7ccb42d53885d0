"""What a job of Azure Pipelines reports, whom it asks for production's approval, and its comment."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doubles.azure_devops import (
    APPROVAL,
    BRANCH_CONTROL,
    BUSINESS_HOURS,
    TOKEN,
    AzureDevOps,
    Fault,
    running_azure_devops,
    step,
)
from rendering import Render

PROGRAM = """
import json, sys
from mlops.ci import current
from mlops.errors import MlopsError
try:
    assert current().in_ci
    print(json.dumps(getattr(current(), sys.argv[1])(*sys.argv[2:])))
except MlopsError as error:
    sys.exit(f"{type(error).__name__}: {error} Fix: {error.fix}")
"""
ALICE = ("production", "approved", [step("approved", "Alice"), step("skipped")])


@pytest.fixture
def devops() -> Iterator[AzureDevOps]:
    """A project whose production is protected, and whose run 7 Alice has approved."""
    with running_azure_devops() as double:
        double.checks = {"production-infra": [], "production": [BUSINESS_HOURS, APPROVAL, BRANCH_CONTROL]}
        double.approvals = {"approval-1": ALICE}
        yield double


@pytest.fixture
def ask(devops: AzureDevOps, render: Render, project_python: Path, tmp_path: Path) -> Any:
    """Call a method of the current job, in a process of its own with the standard library alone."""
    source = render({"ci_cd": "azure-pipelines"}) / "src"

    def ask(*words: str, **changes: str) -> tuple[str, str]:
        done = subprocess.run(
            [project_python, "-S", "-c", PROGRAM, *words],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(source),
                "AGENT_TEMPDIRECTORY": str(tmp_path),
                **devops.job(**changes),
            },
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert TOKEN not in done.stdout + done.stderr
        assert (done.returncode == 0) == (done.stderr == ""), done.stderr
        return done.stdout.strip(), done.stderr.strip()

    return ask


def test_an_output_is_one_line_that_the_agent_decodes(ask: Any) -> None:
    said, _ = ask("output", "version", "7")
    assert said.splitlines()[0] == "##vso[task.setvariable variable=version;isOutput=true]7"
    said, _ = ask("output", "plan", "100%\r\n##vso[task.complete result=Failed;]%0A")
    line = said.splitlines()[0]
    assert line.count("##vso") == 2  # the agent obeys the first of a line
    value = line.partition("]")[2]
    decoded = value.replace("%0A", "\n").replace("%0D", "\r").replace("%AZP25", "%")  # the agent's order
    assert decoded == "100%\r\n##vso[task.complete result=Failed;]%0A"


def test_each_summary_is_a_file_of_its_own(ask: Any, tmp_path: Path) -> None:
    for text in ("# Größe\n", "| a |\n"):
        said, _ = ask("summary", text)
        path = Path(said.splitlines()[0].removeprefix("##vso[task.uploadsummary]"))
        assert path.parent == tmp_path
        assert path.read_text("utf-8") == text
    assert len(list(tmp_path.iterdir())) == 2


def test_an_issue_is_a_warning_and_a_summary(ask: Any, tmp_path: Path) -> None:
    said, _ = ask("issue", "Drift in staging", "1 to change")
    [file] = tmp_path.iterdir()
    assert file.read_text("utf-8") == "### Drift in staging\n\n1 to change"
    assert said.splitlines()[:-1] == [
        f"##vso[task.uploadsummary]{file}",
        "##vso[task.logissue type=warning]Drift in staging",
        "##vso[task.complete result=SucceededWithIssues]",
    ]
    assert ask("issue", "Drift in staging", "") == ("null", "")


@pytest.mark.parametrize(("reason", "manual"), [("Manual", True), ("Schedule", False), ("IndividualCI", False)])
def test_only_a_run_by_hand_is_manual(reason: str, manual: bool, ask: Any) -> None:
    said, _ = ask("is_manual", BUILD_REASON=reason)
    assert json.loads(said) == manual


def test_the_run_has_a_page(ask: Any, devops: AzureDevOps) -> None:
    said, _ = ask("url")
    assert json.loads(said) == f"{devops.url}/office/Credit%20Risk/_build/results?buildId=7"


@pytest.mark.parametrize(
    ("approvals", "who"),
    [
        ({"1": ALICE}, "Alice, approval"),
        ({"1": ("production", "approved", [step("approved", "Alice"), step("skipped", "Bob")])}, "Alice, approval"),
        (
            {"1": ("production", "approved", [step("approved", "Bob"), step("approved", "Alice")])},
            "Alice, Bob, approval",
        ),
        ({"1": ALICE, "2": ("staging", "rejected", [step("rejected", "Bob")])}, "Alice, approval"),
    ],
)
def test_production_is_released_by_whom_its_stage_was_approved(
    approvals: Any, who: str, ask: Any, devops: AzureDevOps
) -> None:
    devops.approvals = approvals
    said, _ = ask("approver", "production")
    assert json.loads(said) == who


@pytest.mark.parametrize(
    ("approvals", "found"),
    [
        ({}, "none was found"),
        ({"1": ("staging", "approved", [step("approved", "Alice")])}, "none was found"),
        ({"1": ("production", "pending", [step("pending")])}, "pending"),
        ({"1": ("production", "rejected", [step("rejected", "Alice")])}, "rejected"),
        ({"1": ("production", "timedOut", [step("timedOut")])}, "timedOut"),
        ({"1": ("production", "skipped", [step("approved", "Alice")])}, "skipped"),
        ({"1": ("production", "approved", [])}, "approved"),
        ({"1": ("production", "approved", [step("approved")])}, "approved"),
        ({"1": ALICE, "2": ("production", "pending", [step("pending")])}, "approved, pending"),
    ],
)
def test_a_run_that_nobody_approved_is_refused(approvals: Any, found: str, ask: Any, devops: AzureDevOps) -> None:
    devops.approvals = approvals
    _, error = ask("approver", "production")
    assert f"ReleaseError: This run has no approval for production (its approvals: {found})." in error


OTHER_APPROVAL = {**APPROVAL, "type": {"id": "8c6f20a7-a545-4486-9777-f762fafe0d4e", "name": "Approval"}}


@pytest.mark.parametrize(
    ("checks", "error"),
    [
        (None, "Azure DevOps has no environment named production"),
        ([], "production of Azure DevOps lacks Approvals and Branch control."),
        ([BRANCH_CONTROL], "lacks Approvals."),
        ([OTHER_APPROVAL, BRANCH_CONTROL], "lacks Approvals."),
        ([APPROVAL], "lacks Branch control."),
        ([APPROVAL, BUSINESS_HOURS], "lacks Branch control."),
    ],
)
def test_an_environment_that_is_not_protected_is_refused(
    checks: Any, error: str, ask: Any, devops: AzureDevOps
) -> None:
    """Although the run was approved, and although another environment is protected."""
    devops.checks = {"production-infra": [APPROVAL, BRANCH_CONTROL]}
    if checks is not None:
        devops.checks["production"] = checks
    _, said = ask("approver", "production")
    assert said.startswith("ReleaseError: ")
    assert error in said
    assert "Nothing was changed. Fix: " in said


SIGN_IN = Fault(203, b"<html>Sign in</html>", {"Content-Type": "text/html"})
DENIED = Fault(403, b'{"message": "TF400813: The user is not authorized."}')


@pytest.mark.parametrize(
    ("changes", "faults", "error"),
    [
        ({"SYSTEM_ACCESSTOKEN": ""}, [], "ConfigError: SYSTEM_ACCESSTOKEN is not set"),
        ({"SYSTEM_ACCESSTOKEN": "$(System.AccessToken)"}, [], "ConfigError: SYSTEM_ACCESSTOKEN is not set"),
        ({"SYSTEM_ACCESSTOKEN": "expired"}, [], "AzureError: Azure DevOps did not accept the job's token"),
        ({}, [SIGN_IN], "AzureError: Azure DevOps did not accept the job's token"),
        ({}, [Fault(302, b"", {"Location": "/sign-in"})], "AzureError: Azure DevOps did not accept the job's token"),
        ({}, [DENIED], r"AzureError: .* refused GET /office/.*/environments with 403: TF400813"),
        ({}, [Fault(429, headers={"Retry-After": "0"})] * 4, "AzureError: .* with 429: TF400733"),
        ({"SYSTEM_COLLECTIONURI": "http://127.0.0.1:9/office/"}, [], "AzureError: Azure DevOps did not answer"),
        ({"SYSTEM_STAGENAME": "other"}, [], "ReleaseError: This run has no approval"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    changes: dict[str, str], faults: list[Fault], error: str, ask: Any, devops: AzureDevOps
) -> None:
    devops.faults = list(faults)
    _, said = ask("approver", "production", **changes)
    assert re.match(error, said), said
    assert not devops.faults
    assert "GET /sign-in" not in devops.calls  # the token would have gone there


def test_a_busy_azure_devops_is_asked_again(ask: Any, devops: AzureDevOps) -> None:
    devops.faults = [Fault(status, headers={"Retry-After": "0"}) for status in (429, 503, 500)]
    said, _ = ask("approver", "production")
    assert json.loads(said) == "Alice, approval"


def test_there_is_one_comment_which_is_updated(ask: Any, devops: AzureDevOps) -> None:
    marked = {"mlops.marker": {"$type": "System.String", "$value": "report"}}
    other = {"mlops.marker": {"$type": "System.String", "$value": "other"}}
    person, gone = {"id": 1, "content": "by a person"}, {"id": 1, "content": "gone", "isDeleted": True}
    kept = {"id": 1, "content": "kept"}
    devops.threads = [
        {"id": 1, "comments": [person], "properties": None, "isDeleted": False},
        {"id": 2, "comments": [kept], "properties": marked, "isDeleted": True},
        {"id": 3, "comments": [gone], "properties": marked, "isDeleted": False},
        {"id": 4, "comments": [{"id": 1, "content": "other"}], "properties": other, "isDeleted": False},
    ]
    ask("comment", "report", "first")
    ask("comment", "report", "second")
    contents = [thread["comments"][0]["content"] for thread in devops.threads]
    assert contents == ["by a person", "kept", "gone", "other", "second"]
    assert devops.threads[-1]["status"] == 4  # closed: it blocks no policy that wants comments resolved
    threads = "git/repositories/repository-id/pullRequests/12/threads"
    assert devops.calls == [
        f"GET {threads}",
        f"POST {threads}",
        f"GET {threads}",
        f"PATCH {threads}/5/comments/1",
    ]


def test_a_comment_that_may_have_been_made_is_not_made_twice(ask: Any, devops: AzureDevOps) -> None:
    for status, calls in ((500, 2), (429, 3)):
        devops.calls.clear()
        devops.threads.clear()
        posted = {"count": 0, "value": []}
        devops.faults = [
            Fault(200, json.dumps(posted).encode(), {"Content-Type": "application/json"}),
            Fault(status, headers={"Retry-After": "0"}),
        ]
        ask("comment", "report", "text")
        assert len(devops.calls) == calls, status


def test_a_repository_elsewhere_gets_no_comment(ask: Any, devops: AzureDevOps) -> None:
    _, error = ask("comment", "report", "text", BUILD_REPOSITORY_PROVIDER="GitHub")
    assert error.startswith("ConfigError: The repository is not on Azure Repos")
    assert devops.calls == []
