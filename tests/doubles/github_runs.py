"""Runs of workflows: start them, look at them, and let them wait for an environment's reviewers.

Sources besides the OpenAPI description: a workflow that is not on the default branch, octokit/octokit.js#2286; an
unknown branch, day8/re-frame2#9287; who may approve, "Deployments and environments", docs.github.com.
"""

import subprocess
import threading
import time
from typing import Any

from doubles.github_environments import reviewer
from doubles.github_store import IN, TIME, Environment, Reply, Request, Route, Run, Store, not_found, page, refuse

FIRST_RUN = 9001
DECIDED_SECONDS = 60.0  # until a run gives up
POLL_SECONDS = 0.02


def _described(github: Store, request: Request, run: Run) -> dict[str, Any]:
    name = github.existing.full_name if github.repository else "-/-"
    return {
        "id": run.id,
        "name": run.workflow.partition(".")[0],
        "path": f".github/workflows/{run.workflow}",
        "event": "workflow_dispatch",
        "head_branch": run.branch,
        "status": run.status,
        "conclusion": run.conclusion,
        "actor": {"login": run.actor},
        "created_at": TIME,
        "url": f"https://{request.host}/repos/{name}/actions/runs/{run.id}",
        "html_url": f"{request.server}/{name}/actions/runs/{run.id}",
    }


def _workflow(github: Store, _: Request, name: str) -> Reply:
    if name not in github.workflows:
        github.workflows.append(name)
    path = f".github/workflows/{name}"
    return 200, {"id": github.workflows.index(name), "name": name, "path": path, "state": "active"}


def _has(github: Store, name: str) -> bool:
    """Return whether the bare repository has a branch, or a BRANCH:FILE; without one, everything exists."""
    if github.folder is None or github.repository is None:
        return True
    where = str(github.folder / f"{github.existing.full_name}.git")
    return not subprocess.run(("git", "-C", where, "cat-file", "-e", name), capture_output=True, check=False).returncode


def _dispatch(github: Store, request: Request, name: str) -> Reply:
    known = github.workflows[int(name)] if name.isdecimal() else name  # by its id, as `gh` does, or by its file
    branch = request.content.get("ref", "")
    if github.repository and not _has(github, f"{github.existing.default_branch}:.github/workflows/{known}"):
        return not_found()
    if not _has(github, branch):
        return refuse(422, f"No ref found for: {branch}")
    github.dispatches.append({"workflow": known, **request.content})
    actor = request.token.login or "github-actions[bot]"
    run = Run(FIRST_RUN + len(github.runs), known, branch.removeprefix("refs/heads/"), actor)
    github.runs.append(run)
    if github.on_dispatch:
        threading.Thread(target=github.on_dispatch, args=(run,), daemon=True).start()
    if not request.content.get("return_run_details"):
        return 204, None
    found = _described(github, request, run)
    return 200, {"workflow_run_id": run.id, "run_url": found["url"], "html_url": found["html_url"]}


def _runs(github: Store, request: Request, name: str) -> Reply:
    found = [_described(github, request, run) for run in reversed(github.runs) if run.workflow == name]
    return 200, {"total_count": len(found), "workflow_runs": page(found, request.query)}


def _find(github: Store, number: str) -> Run | None:
    return next((run for run in github.runs if str(run.id) == number), None)


def _run(github: Store, request: Request, run: str) -> Reply:
    found = _find(github, run)
    return (200, _described(github, request, found)) if found else not_found()


def _pending(github: Store, request: Request, run: str) -> Reply:
    found = _find(github, run)
    return (
        (200, [_awaited(github, request.token.login, found, name) for name in found.pending]) if found else not_found()
    )


def _awaited(github: Store, login: str, run: Run, name: str) -> dict[str, Any]:
    """Describe an environment for whose approval a run waits."""
    found = github.environments[name]
    is_own = found.prevent_self_review and login == run.actor
    return {
        "environment": {"id": github.number(f"environment {name}"), "name": name},
        "wait_timer": found.wait_minutes,
        "wait_timer_started_at": None,
        "current_user_can_approve": login in found.reviewers and not is_own,
        "reviewers": [reviewer(github, one) for one in found.reviewers],
    }


def _approvals(github: Store, _: Request, run: str) -> Reply:
    return 200, github.approvals.get(run, [])


def _gate(github: Store, request: Request, name: str, run: str) -> Reply:
    """Let a job begin that names an environment, as its branches and reviewers decide before it gets a runner."""
    found = github.environments.setdefault(name, Environment(branches=None))  # GitHub creates it, unprotected
    branch = request.query["ref"].removeprefix("refs/heads/")
    if found.branches is not None and branch not in found.branches:
        return 403, {"message": f"Branch {request.query['ref']} is not allowed to deploy to {name}"}
    if not found.reviewers:
        return 200, {}
    who, state = _decision(found, name, _find(github, run))
    review = {"state": state, "comment": "", "user": {"login": who}, "environments": [{"name": name}]}
    github.approvals.setdefault(run, []).append(review)
    return (200 if state == "approved" else 403), review


def _decision(environment: Environment, name: str, run: Run | None) -> tuple[str, str]:
    """Return who decided, and how; a dispatched run waits for it, and shows that it waits."""
    if run:
        run.pending.append(name)
        run.status = "waiting"
    if environment.meanwhile:
        environment.meanwhile()
    end = time.monotonic() + (DECIDED_SECONDS if run else 0)
    while environment.decision is None:
        assert time.monotonic() < end, f"nobody decides about {name}"
        time.sleep(POLL_SECONDS)
    if run:
        run.pending.remove(name)
        run.status = "waiting" if run.pending else "in_progress"
    return environment.decision


READ = (("actions", "read"),)
RUN = rf"{IN}/actions/runs/(?P<run>\d+)"
WORKFLOW = rf"{IN}/actions/workflows/(?P<name>[\w.-]+)"
ROUTES = (
    Route("GET", WORKFLOW, READ, _workflow),
    Route("POST", f"{WORKFLOW}/dispatches", (("actions", "write"),), _dispatch),
    Route("GET", f"{WORKFLOW}/runs", READ, _runs),
    Route("GET", RUN, READ, _run),
    Route("GET", f"{RUN}/pending_deployments", READ, _pending),
    Route("GET", f"{RUN}/approvals", READ, _approvals),
    Route("POST", r"/_double/runs/(?P<run>\d+)/(?P<name>[^/]+)", (), _gate, is_open=True),
)
