"""A job of Azure Pipelines: its outputs and summary, who approved its stage, and its comment."""

from __future__ import annotations

import tempfile
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

from mlops.ci import Job
from mlops.ci.azure_devops import PREVIEW, Api
from mlops.errors import ConfigError, ReleaseError, safe

# The kinds of checks: an approval by its type, branch control by its definition, since its type is
# that of all checks which are tasks.
APPROVAL: Final = "8c6f20a7-a545-4486-9777-f762fafe0d4d"
BRANCH_CONTROL: Final = "86b05a0c-73e6-4f7d-b3cf-e38f3b39a75b"

# The property of a thread that holds a comment's marker, by which the next run finds it.
MARKER: Final = "mlops.marker"
# CommentThreadStatus: a closed thread does not block a policy that wants comments resolved.
CLOSED: Final = 4


class CurrentJob(Job):
    """The job of Azure Pipelines that these environment variables belong to."""

    in_ci = True

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def output(self, name: str, value: str) -> None:
        """Hand a value to the steps and jobs that follow; its step needs a `name`."""
        print(f"##vso[task.setvariable variable={name};isOutput=true]{_escaped(value)}", flush=True)

    def summary(self, markdown: str) -> None:
        """Show a text on the page of the run, below Extensions."""
        folder = self._require("AGENT_TEMPDIRECTORY")
        with tempfile.NamedTemporaryFile(
            "w", dir=folder, prefix="summary-", suffix=".md", encoding="utf-8", delete=False
        ) as file:
            file.write(markdown)
        print(f"##vso[task.uploadsummary]{_escaped(file.name)}", flush=True)

    def url(self) -> str:
        """Return the address of the run's page."""
        return f"{self._project()}/_build/results?buildId={self._require('BUILD_BUILDID')}"

    def is_manual(self) -> bool:
        return self._given.get("BUILD_REASON") == "Manual"

    def issue(self, title: str, markdown: str) -> None:
        """Let the run end with a warning: not every project of Azure DevOps has Boards."""
        if markdown:
            self.summary(f"### {title}\n\n{markdown}")
            print(f"##vso[task.logissue type=warning]{_escaped(title)}")
            print("##vso[task.complete result=SucceededWithIssues]", flush=True)

    def approver(self, environment: str, releasers: tuple[str, ...] = ()) -> str:
        """Return who approved this run's stage, such as "Alice, approval".

        Parameters
        ----------
        environment : str
            Also the name of the environment in Azure DevOps whose checks the stage waited for.
        releasers : tuple of str
            Not used: Azure DevOps can ask for an approval in every project.

        Raises
        ------
        ReleaseError
            The environment has no approval or no branch control, or this run was not approved.
        """
        api = self._api()
        _require_checks(environment, _checks(api, environment))
        approvals = _approvals(
            api, self._require("BUILD_BUILDID"), self._require("SYSTEM_STAGENAME")
        )
        names = {name for approval in approvals for name in _approvers(approval)}
        if not names or any(approval.get("status") != "approved" for approval in approvals):
            found = ", ".join(str(one.get("status")) for one in approvals) or "none was found"
            raise ReleaseError(
                f"This run has no approval for {environment} (its approvals: {found}). "
                "Nothing was changed.",
                f"Run the stage again, and have the approvers of {environment} approve it. It must "
                f"be a stage whose job names the environment {environment}.",
            )
        return f"{', '.join(sorted(names))}, approval"

    def comment(self, marker: str, markdown: str) -> None:
        """Comment on the pull request, or update the comment that carries the marker."""
        if self._given.get("BUILD_REPOSITORY_PROVIDER") != "TfsGit":
            raise ConfigError(
                "The repository is not on Azure Repos, so this job cannot comment.",
                "Read the report on the page of the run, below Extensions.",
            )
        repository = self._require("BUILD_REPOSITORY_ID")
        number = self._require("SYSTEM_PULLREQUEST_PULLREQUESTID")
        threads = f"git/repositories/{repository}/pullRequests/{number}/threads"
        api = self._api()
        for thread in api.call("GET", threads)["value"]:
            comment = (thread.get("comments") or [{}])[0]
            if _carries(marker, thread) and not comment.get("isDeleted"):
                path = f"{threads}/{thread['id']}/comments/{comment['id']}"
                api.call("PATCH", path, content={"content": markdown})
                return
        first = {"parentCommentId": 0, "content": markdown, "commentType": 1}
        content = {"comments": [first], "status": CLOSED, "properties": {MARKER: marker}}
        api.call("POST", threads, content=content)

    def _api(self) -> Api:
        return Api(f"{self._project()}/_apis", self._require("SYSTEM_ACCESSTOKEN"))

    def _project(self) -> str:
        project = urllib.parse.quote(self._require("SYSTEM_TEAMPROJECT"))
        return f"{self._require('SYSTEM_COLLECTIONURI').rstrip('/')}/{project}"

    def _require(self, name: str) -> str:
        value = self._given.get(name, "")
        if not value or value.startswith("$("):  # an unknown $(x) stays as it is written
            raise ConfigError(
                f"{name} is not set in this job of Azure Pipelines.",
                "The agent sets it, except SYSTEM_ACCESSTOKEN: map it in the step, from "
                "$(System.AccessToken).",
            )
        return value


def _checks(api: Api, environment: str) -> list[dict[str, Any]]:
    """Return the checks of an environment, with their settings."""
    found = api.call("GET", "distributedtask/environments", name=environment)["value"]
    ids = [str(one["id"]) for one in found if one["name"].lower() == environment]
    if not ids:
        raise ReleaseError(
            f"Azure DevOps has no environment named {environment}, or this job may not see it. "
            "Nothing was changed.",
            "Create it (Pipelines > Environments) with an approval and branch control, and let the "
            "project's Build Service read it.",
        )
    where = {"resourceType": "environment", "resourceId": ids[0], "$expand": "settings"}
    checks = api.call("GET", "pipelines/checks/configurations", PREVIEW, **where)["value"]
    return list(checks)


def _require_checks(environment: str, checks: list[dict[str, Any]]) -> None:
    """Refuse an environment that anyone may release to, or from any branch."""
    kinds = {str(check.get("type", {}).get("id")).lower() for check in checks}
    definitions = {
        str((check.get("settings") or {}).get("definitionRef", {}).get("id")).lower()
        for check in checks
    }
    missing = [
        name
        for name, present in (
            ("Approvals", APPROVAL in kinds),
            ("Branch control", BRANCH_CONTROL in definitions),
        )
        if not present
    ]
    if missing:
        raise ReleaseError(
            f"The environment {environment} of Azure DevOps lacks {' and '.join(missing)}. "
            "Nothing was changed.",
            f"Pipelines > Environments > {environment} > Approvals and checks: add an approval by "
            "those who decide, and branch control that allows refs/heads/main.",
        )


def _approvals(api: Api, run: str, stage: str) -> list[dict[str, Any]]:
    """Return the approvals that a stage of a run waited for, with their steps."""
    records = api.call("GET", f"build/builds/{run}/timeline")["records"]
    stages = {
        one["id"] for one in records if one["type"] == "Stage" and one.get("identifier") == stage
    }
    checkpoints = {
        one["id"] for one in records if one["type"] == "Checkpoint" and one["parentId"] in stages
    }
    return [
        api.call("GET", f"pipelines/approvals/{one['id']}", **{"$expand": "steps"})
        for one in records
        if one["type"] == "Checkpoint.Approval" and one["parentId"] in checkpoints
    ]


def _approvers(approval: dict[str, Any]) -> list[str]:
    """Return the names of those who approved, for themselves or for a group."""
    return [
        safe(str(step["actualApprover"]["displayName"]))
        for step in approval.get("steps") or []
        if step.get("status") == "approved" and step.get("actualApprover")
    ]


def _carries(marker: str, thread: dict[str, Any]) -> bool:
    found = (thread.get("properties") or {}).get(MARKER)
    value = found.get("$value") if isinstance(found, dict) else found
    return value == marker and not thread.get("isDeleted")


def _escaped(value: str) -> str:
    """Return the value of a logging command on one line, as Azure's own task library escapes it."""
    return value.replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A")
