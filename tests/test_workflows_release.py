"""Train, Release and Rollback, run by act: real commands on the double of Azure, with the roles of Terraform."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure_landing import know_reader, landing_zone_of
from azure_project import PREFIX, Lab, azure_lab, edited
from doubles.github import Environment, GitHub, running_github
from doubles.terraform.client import Terraform
from landing_zone import ENVIRONMENTS, OTHERS_ON_GITHUB, apply_both, name_of
from rendering import Render
from variants.findings import Answers
from workflows.page import picture
from workflows.repository import Repository, Run, azure_variables

REVIEWER = "carol"


@dataclass
class Team:
    """A project on GitHub and on Azure."""

    lab: Lab
    github: GitHub
    repository: Repository

    def run(self, workflow: str, event: str = "workflow_dispatch", cancel_at: str = "", **inputs: str) -> Run:
        """Run a workflow on main as it is now."""
        payload: dict[str, Any] = {"inputs": inputs} if inputs else {}
        return self.repository.run(workflow, self.repository.on_main(event, **payload), cancel_at)

    @contextmanager
    def edited(self, file: str, old: str, new: str) -> Iterator[None]:
        """Replace a text in a file on main until the block ends."""
        with edited(self.repository.work / file, old, new):
            self.repository.commit()
            yield
        self.repository.commit()

    def decide(self, state: str) -> None:
        """Let a reviewer approve or reject what waits for production."""
        self.github.environments["production"].decision = (REVIEWER, state)


@pytest.fixture(scope="module")
def team(
    render: Render, terraform: Terraform, project_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Team]:
    with running_team(render({}), terraform, project_python, tmp_path_factory.mktemp("team")) as team:
        yield team


@contextmanager
def running_team(project: Path, terraform: Terraform, python: Path, folder: Path) -> Iterator[Team]:
    """Apply both environments, and give a repository the variables, reviewers and secrets that a team sets."""
    known = landing_zone_of(apply_both(terraform, project, folder, "infra"))
    know_reader(known, "repo:ORG/credit-risk:environment:production-plan")
    clients = {one["name"]: one["client"] for one in known["principals"]}
    with ExitStack() as stack:
        lab = stack.enter_context(azure_lab(project, python, folder, lambda _: None, known))
        github = stack.enter_context(running_github(folder))
        for environment in ENVIRONMENTS:
            variables = azure_variables(clients[f"id-{PREFIX}-{environment}-ci"])
            reviewers = (REVIEWER,) if environment == "production" else ()
            secrets = {} if reviewers else {"MLOPS_WEBHOOK": f"{github.url}/_double/webhook"}
            github.environments[environment] = Environment(reviewers, variables=variables, secrets=secrets)
        github.environments["production-plan"] = Environment(variables=azure_variables("reader"))
        network = {**lab.azure.environment, "AZURE_AUTHORITY_HOST": lab.azure.url}
        repository = Repository(folder / "github", github, python, network, oidc=lab.azure.github_tokens)
        repository.push(lab.mlops.root)
        yield Team(lab, github, repository)


def test_a_push_trains_and_releases(team: Team) -> None:
    team.decide("approved")
    run = team.run("train.yml", "push")
    assert run.code == 0, run.log
    assert run.jobs == dict.fromkeys(("Train", "Release / Staging", "Release / Production"), "success")
    assert team.lab.served("production") == {1}
    history = json.loads(team.lab.mlops("history", "--on", "azureml", "--format", "json").text)
    by = {where: [period["by"] for period in history[where]["periods"]] for where in ENVIRONMENTS}
    assert by == {"staging": ["alice"], "production": [f"{REVIEWER}, reviewer"]}
    assert "accepted, registered as version 1" in run.summary
    assert "Version 1 of credit-risk is in staging and waits for approval" in run.summary
    [message] = team.github.messages
    card = message["attachments"][0]["content"]
    assert card["body"][0]["text"] == "Version 1 of credit-risk is in staging and waits for approval"
    assert card["actions"][0]["url"] == "https://github.com/ORG/credit-risk/actions/runs/1"
    page = (team.repository.work / "docs" / "github-actions.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{picture(run)}\n```" in page
    asked = [(call.job, call.method, call.path.rpartition("/")[2]) for call in team.github.calls if call.job]
    assert asked == [("release.yml:production", "GET", name) for name in ("production", "approvals")]


@pytest.mark.exhaustive
def test_training_on_the_same_rows_again_asks_nobody(team: Team) -> None:
    run = team.run("train.yml", "schedule")
    assert run.code == 0, run.log
    assert run.jobs == {"Train": "success", "Release / Staging": "success"}
    assert "No version waits for its release." in run.summary


def test_a_refused_model_ends_green_and_is_not_released(team: Team) -> None:
    with team.edited("project.yml", "seed: 7", "seed: 8"):
        run = team.run("train.yml", "push")
    assert run.code == 0, run.log
    assert run.jobs == {"Train": "success"}
    assert "refused, not registered" in run.summary
    assert team.lab.served("production") == {1}


def test_data_that_fail_an_expectation_end_red(team: Team) -> None:
    with team.edited("data/credit.csv", "freelance", "pirate"):
        run = team.run("train.yml", "push")
    assert run.jobs == {"Train": "failure"}, run.log
    assert "The data fails" in run.summary
    assert team.lab.served("production") == {1}


@pytest.mark.exhaustive
def test_a_day_without_a_new_model_ends_green(team: Team) -> None:
    run = team.run("release.yml", "schedule")
    assert run.code == 0, run.log
    assert run.jobs == {"Staging": "success"}
    assert "No version waits for its release." in run.summary
    assert "Staging: Deploy to staging" not in run.ended("success")


def test_a_version_that_fails_in_staging_never_comes_near_production(team: Team) -> None:
    team.lab.seed(2, stage="registered")
    before = len(team.lab.azure.calls())
    team.lab.azure.plant("server-error", f"POST /inference/{PREFIX}-staging-.*/score", count=100)
    run = team.run("release.yml", "schedule")
    team.lab.azure.clear_faults()
    assert run.jobs == {"Staging": "failure"}, run.log
    assert "Version 2 was not released to staging" in run.summary
    assert team.lab.azure.changes(before, "-production") == []
    assert team.lab.served("production") == {1}


def test_a_rejected_release_leaves_production_alone(team: Team) -> None:
    team.decide("rejected")
    before = len(team.lab.azure.calls())
    run = team.run("release.yml", version="2")
    assert run.jobs == {"Staging": "success", "Production": "failure"}, run.log
    assert team.lab.azure.changes(before, "-production") == []
    assert "Production: Deploy to production" not in run.ended("success") + run.ended("failure")


@pytest.mark.exhaustive
def test_nobody_to_approve_means_no_release(team: Team) -> None:
    settings = team.github.environments["production"]
    settings.reviewers = ()
    before = len(team.lab.azure.calls())
    run = team.run("release.yml", version="2")
    settings.reviewers = (REVIEWER,)
    assert run.jobs == {"Staging": "success", "Production": "failure"}, run.log
    assert "The environment production has no required reviewers" in run.summary
    assert team.lab.azure.changes(before, "-production") == []


def test_a_failed_canary_is_rolled_back(team: Team) -> None:
    team.decide("approved")
    # The three requests of the smoke test succeed, and the first of those with 10 % of the traffic.
    team.lab.azure.plant("server-error", f"POST /inference/{PREFIX}-production-.*/score", skip=4, count=100)
    run = team.run("release.yml", version="2")
    team.lab.azure.clear_faults()
    assert run.jobs == {"Staging": "success", "Production": "failure"}, run.log
    assert "Production still serves version 1." in run.summary
    assert team.lab.served("production") == {1}


@pytest.mark.parametrize(
    ("job", "moment"),
    [
        pytest.param("Staging", "Deploying version 2", marks=pytest.mark.exhaustive),
        pytest.param("Production", "Deploying version 2", marks=pytest.mark.exhaustive),
        ("Production", "10 % of the traffic"),
        pytest.param("Production", "100 % of the traffic", marks=pytest.mark.exhaustive),
    ],
)
def test_the_run_after_a_cancelled_one_recovers(team: Team, job: str, moment: str) -> None:
    team.decide("approved")
    in_staging = "1" if job == "Staging" else "2"
    team.lab.mlops("deploy", "staging", "--version", in_staging, "--on", "azureml")
    cancelled = team.run("release.yml", cancel_at=moment, version="2")
    assert cancelled.code != 0
    assert cancelled.jobs[job] == "failure", cancelled.log
    assert team.lab.served("production") <= {1, 2}  # somebody always answers
    team.lab.age_release(job.lower(), 300)
    run = team.run("release.yml", version="2")
    assert run.code == 0, run.log
    assert "the interrupted release of version 2" in run.log
    assert team.lab.served("production") == {2}
    team.lab.mlops("deploy", "production", "--version", "1", "--on", "azureml", "--yes")


@pytest.mark.exhaustive
def test_two_releases_at_once_wait_for_each_other(team: Team) -> None:
    """GitHub queues them; act does not, so the note at the endpoint has to."""
    team.decide("approved")
    team.lab.seed(3, stage="registered")
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda version: team.run("release.yml", version=version), ("2", "3")))
    assert [run.code for run in runs] == [0, 0], "".join(run.log for run in runs)
    assert "Waiting until it has ended." in "".join(run.log for run in runs)
    [serving] = team.lab.served("production")
    assert sorted(team.lab.stages(number)[0] for number in (2, 3)) == ["production", "retired"]
    assert team.lab.tags("production", serving)["mlops.stage"] == "production"
    team.lab.mlops("deploy", "production", "--version", "1", "--on", "azureml", "--yes")


def test_a_rollback_returns_to_the_version_before(team: Team) -> None:
    released = team.run("release.yml", version="2")
    assert released.code == 0, released.log
    run = team.run("rollback.yml")
    assert run.code == 0, run.log
    assert team.lab.served("production") == {1}
    assert team.lab.tags("staging", 2)["mlops.stage"] == "withdrawn"


def test_an_expired_assertion_changes_nothing(team: Team) -> None:
    before = len(team.lab.azure.calls())
    team.lab.azure.shorten(3600, -60)
    run = team.run("release.yml", version="1")
    team.lab.azure.shorten(3600, 300)
    assert run.jobs == {"Staging": "failure"}, run.log
    assert "AADSTS700024" in run.summary
    assert team.lab.azure.changes(before) == []


def test_monitoring_is_looked_at_by_who_may_only_read(team: Team) -> None:
    run = team.run("monitor.yml", "schedule")
    assert run.code == 0, run.log
    assert "credit-risk-production-monitor is on; it has not run yet." in run.log
    team.lab.fail_monitoring()
    run = team.run("monitor.yml", "schedule")
    assert run.jobs == {"Monitor": "failure"}, run.log
    assert re.search(r"credit-risk-production-monitor ran last at 20\d\d-.* UTC: Failed\.", run.summary)


def test_a_training_that_outlasts_its_job_is_followed_by_another_run(team: Team) -> None:
    """Only the end of the command is changed: it says that the job on Azure still runs."""
    workflow = team.repository.work / ".github" / "workflows" / "train.yml"
    text = workflow.read_text(encoding="utf-8")
    workflow.write_text(re.sub(r"run: mlops run .*", 'run: echo "job=quiet_fox" >> "$GITHUB_OUTPUT"', text), "utf-8")
    team.repository.commit()
    run = team.run("train.yml", "push")
    workflow.write_text(text, encoding="utf-8")
    team.repository.commit()
    assert run.code == 0, run.log
    assert run.jobs == {"Train": "success", "Follow the job": "success"}
    [dispatch] = team.github.dispatches
    assert {key: dispatch[key] for key in ("workflow", "ref", "inputs")} == {
        "workflow": "train.yml",
        "ref": "main",
        "inputs": {"job": "quiet_fox"},
    }
    assert {call.job for call in team.github.calls if "/dispatches" in call.path} == {"train.yml:follow"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("variant", OTHERS_ON_GITHUB, ids=name_of)
def test_every_landing_zone_trains_releases_and_goes_back(
    variant: Answers, render: Render, terraform: Terraform, project_python: Path, tmp_path: Path
) -> None:
    with running_team(render(variant), terraform, project_python, tmp_path) as team:
        if variant["serving"] == "aci-aks":
            team.lab.attach_cluster()
        team.decide("approved")
        run = team.run("train.yml", "push")
        assert run.code == 0, run.log
        assert run.jobs == dict.fromkeys(("Train", "Release / Staging", "Release / Production"), "success")
        assert team.lab.stages(1) == ("production", "production")
        team.lab.seed(2, stage="registered")
        released, back = team.run("release.yml", version="2"), team.run("rollback.yml")
        assert (released.code, back.code) == (0, 0), released.log + back.log
        assert team.lab.stages(1) == ("production", "production")
        assert team.lab.stages(2) == ("withdrawn", "withdrawn")
