"""A job of GitHub Actions: its outputs and summary, its approvals, and its words on GitHub.

Standard library only: the job that comments on pull requests installs nothing.
"""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mlops.ci import Job
from mlops.ci.rest import Response, send
from mlops.errors import MlopsError, ReleaseError, first_line, safe

API_VERSION: Final = "2022-11-28"
BOT: Final = "github-actions[bot]"  # the author of what a job writes with its own token
PAGE: Final = 100
# GitHub shows no summary that is larger, and accepts no longer comment.
SUMMARY_BYTES: Final = 1_000_000
COMMENT_CHARACTERS: Final = 65_000
MANUAL: Final = "workflow_dispatch"


class CurrentJob(Job):
    """The job that set these environment variables."""

    in_ci = True

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def output(self, name: str, value: str) -> None:
        end = f"end-{uuid.uuid4()}"  # no line of the value can be it
        self._append("GITHUB_OUTPUT", f"{name}<<{end}\n{value}\n{end}\n")

    def summary(self, markdown: str) -> None:
        kept = markdown.encode()[:SUMMARY_BYTES].decode(errors="ignore")
        self._append("GITHUB_STEP_SUMMARY", f"{kept}\n")

    def url(self) -> str:
        given = self._given
        repository = f"{given.get('GITHUB_SERVER_URL')}/{given.get('GITHUB_REPOSITORY')}"
        return f"{repository}/actions/runs/{given.get('GITHUB_RUN_ID')}"

    def is_manual(self) -> bool:
        return self._given.get("GITHUB_EVENT_NAME") == MANUAL

    def approver(self, environment: str, releasers: tuple[str, ...] = ()) -> str:
        """Return which reviewer of the environment approved this run.

        Raises
        ------
        ReleaseError
            The environment has no required reviewers or is open to all branches, or nobody
            approved this run.
        """
        settings = self._call("GET", f"/environments/{environment}", missing={})
        if not _reviewers(settings):
            return self._releaser(environment, releasers)
        if not settings.get("deployment_branch_policy"):
            raise ReleaseError(
                f"Every branch may deploy to the environment {environment}, so anyone who can "
                "push a branch could skip the review of its code. Nothing was changed.",
                f"Settings > Environments > {environment} > Deployment branches: allow main only.",
            )
        run = self._given.get("GITHUB_RUN_ID")
        names = [
            str(review["user"]["login"])
            for review in self._call("GET", f"/actions/runs/{run}/approvals")
            if review["state"] == "approved"
            and environment in {one["name"] for one in review["environments"]}
        ]
        if not names:
            raise ReleaseError(
                f"GitHub knows no approval of this run for {environment}. Nothing was changed.",
                "Run the workflow again, and let a required reviewer of the environment approve "
                "it; an administrator who skips the rules approves nothing.",
            )
        return f"{names[-1]}, reviewer"

    def comment(self, marker: str, markdown: str) -> None:
        """Comment on the job's pull request, or update the comment that carries the marker."""
        number = json.loads(Path(self._given["GITHUB_EVENT_PATH"]).read_text("utf-8"))["number"]
        body = {"body": f"{marker}\n{markdown}"[:COMMENT_CHARACTERS]}
        for comment in self._pages(f"/issues/{number}/comments"):
            # Anyone can write the marker into a comment of their own.
            if comment["user"]["login"] == BOT and comment["body"].startswith(marker):
                self._call("PATCH", f"/issues/comments/{comment['id']}", body)
                return
        self._call("POST", f"/issues/{number}/comments", body)

    def issue(self, title: str, markdown: str) -> None:
        """Open an issue, or update the open one with this title; close it without a text."""
        path = "/issues"
        for issue in self._pages("/issues?state=open"):
            is_own = issue["user"]["login"] == BOT and "pull_request" not in issue
            if is_own and issue["title"] == title:
                change = (
                    {"body": markdown[:COMMENT_CHARACTERS]} if markdown else {"state": "closed"}
                )
                self._call("PATCH", f"{path}/{issue['number']}", change)
                return
        if markdown:
            self._call("POST", path, {"title": title, "body": markdown[:COMMENT_CHARACTERS]})

    def _releaser(self, environment: str, releasers: tuple[str, ...]) -> str:
        """Return who started this run by hand, where GitHub asks no reviewers."""
        actor = self._given.get("GITHUB_TRIGGERING_ACTOR", "")
        if self.is_manual() and actor in releasers:
            return f"{actor}, by hand"
        raise ReleaseError(
            f"The environment {environment} has no required reviewers, so nobody approved this "
            "run. Nothing was changed.",
            f"Settings > Environments > {environment} > Required reviewers: add some. Private "
            "repositories need GitHub Enterprise for it; on other plans, list in project.yml who "
            "may release (serving.production.releasers), and let one of them start this workflow "
            "by hand.",
        )

    def _append(self, variable: str, text: str) -> None:
        with Path(self._given[variable]).open("a", encoding="utf-8") as file:
            file.write(text)

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        joint = "&" if "?" in path else "?"
        number, full = 1, True
        while full:
            page = self._call("GET", f"{path}{joint}per_page={PAGE}&page={number}")
            yield from page
            number, full = number + 1, len(page) == PAGE

    def _call(self, method: str, path: str, body: Any = None, missing: Any = None) -> Any:
        """Call GitHub's API on this repository; return the answer, or ``missing`` after a 404.

        Raises
        ------
        MlopsError
            GitHub refused the call, or cannot be reached.
        """
        url = f"{self._given['GITHUB_API_URL']}/repos/{self._given['GITHUB_REPOSITORY']}{path}"
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION}
        what = f"{method} {path.partition('?')[0]}"
        try:
            answer = send(method, url, self._given.get("GITHUB_TOKEN", ""), headers, body)
        except (OSError, http.client.HTTPException) as error:
            text = f"GitHub cannot be reached for {what}: {first_line(error)}"
            raise MlopsError(text, "Run the job again.") from error
        if answer.status == 404 and missing is not None:
            return missing
        if answer.status >= 300:
            text = f"GitHub refused {what}: {answer.message} (HTTP {answer.status})."
            raise MlopsError(safe(text), _right(answer))
        return answer.content


def _reviewers(settings: Mapping[str, Any]) -> list[Any]:
    return [
        reviewer
        for rule in settings.get("protection_rules", ())
        if rule["type"] == "required_reviewers"
        for reviewer in rule["reviewers"]
    ]


def _right(answer: Response) -> str:
    """Say which right the job lacks, as far as GitHub tells."""
    needed = answer.headers.get("X-Accepted-GitHub-Permissions")
    if answer.status in (401, 403, 404):
        return f"Give the job these permissions: {needed or 'those in its workflow file'}."
    return "Run the job again."
