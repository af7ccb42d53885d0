"""A pull request of Azure Repos in the driver: real commands train both models, and the comment shows them."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure_project import configure, make_small, shrink
from doubles.azure_devops import TOKEN, running_azure_devops
from pipelines.agent import World
from pipelines.model import Pipeline, read
from pipelines.repository import TOOLS
from pipelines.run import run
from pipelines.templates import expand
from rendering import Render, git

VARIABLES = {
    "Build.BuildId": "7",
    "Build.Reason": "PullRequest",
    "Build.Repository.ID": "repository-id",
    "Build.Repository.Provider": "TfsGit",
    "System.PullRequest.PullRequestId": "12",
    "System.TeamProject": "Credit Risk",
}


def pull_request(project: Path, folder: Path) -> Path:
    """Return a repository whose HEAD merges a change of the model into main."""
    repository = Path(shutil.copytree(project, folder / "repository"))
    shrink(repository)
    configure(repository, make_small)
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=main")
    git(repository, "checkout", "--quiet", "-b", "change")

    def change(content: dict[str, Any]) -> None:
        content["gate"]["thresholds"] = {"roc_auc": 0.99}

    configure(repository, change)
    git(repository, "commit", "--quiet", "--all", "--message=change")
    git(repository, "checkout", "--quiet", "main")
    git(repository, "merge", "--quiet", "--no-ff", "--message=merge", "change")
    return repository


def without_check(pipeline: Pipeline) -> Pipeline:
    """Leave out the checks of the code, which test_project.py runs, and which take long."""
    [stage] = pipeline.stages
    return replace(pipeline, stages=(replace(stage, jobs=tuple(job for job in stage.jobs if job.name != "check")),))


@pytest.mark.exhaustive
def test_the_comment_shows_the_model_beside_that_of_the_target_branch(
    render: Render, project_python: Path, tmp_path: Path
) -> None:
    """The model misses a threshold that the pull request raises, so the job fails; the comment says why."""
    repository = pull_request(render({"ci_cd": "azure-pipelines"}), tmp_path)
    pipeline = without_check(read(expand(repository, "azure-pipelines/pull-request.yml")))
    environment = {
        "PATH": os.pathsep.join([str(TOOLS), os.environ["PATH"]]),
        "PROJECT_PYTHON": str(project_python),
        "OMP_NUM_THREADS": "1",
        "HOME": str(tmp_path),
    }
    with running_azure_devops() as devops:
        variables = {**VARIABLES, "System.CollectionUri": f"{devops.url}/office/"}
        for attempt in ("first", "second"):
            world = World(repository, tmp_path / attempt, environment, variables=variables)
            done = run(pipeline, replace(world, secrets={"System.AccessToken": TOKEN}))
            assert done.jobs == {"__default.model": "Failed", "__default.comment": "Succeeded"}, done.log
    [thread] = devops.threads
    [comment] = thread["comments"]
    assert comment["content"].startswith("### The gate refused this pull request's model"), comment["content"]
    assert "| Metric | Challenger | Champion |" in comment["content"]
    assert f"{devops.url}/office/Credit%20Risk/_build/results?buildId=7" in comment["content"]
    assert {step.step: step.result for step in done.steps if step.result != "Succeeded"} == {
        "Fail if the gate refused a changed model": "Failed"
    }
    assert any("refused, not registered" in summary for summary in done.summaries)
