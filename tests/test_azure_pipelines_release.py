"""Train, Release and Rollback of Azure Pipelines in the driver: real commands on the doubles, with the zone's roles."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from azure_landing import know_reader, landing_zone_of
from azure_project import PREFIX, Lab, azure_lab, edited
from doubles.azure_devops import APPROVAL, BRANCH_CONTROL
from doubles.terraform.client import Terraform
from landing_zone import ENVIRONMENTS, apply_both, subject_of, trusting
from pipelines.agent import Cancel
from pipelines.repository import WHO_APPROVED, Repository, connect, running_repository
from rendering import Render

PIPELINES = {"ci_cd": "azure-pipelines"}
IDENTITIES = {**{one: f"id-{PREFIX}-{one}-ci" for one in ENVIRONMENTS}, "production-plan": "reader"}


UNRELEASED = dict.fromkeys(("find", *ENVIRONMENTS), "Skipped")  # stages of train


@dataclass
class Team:
    """A project on Azure DevOps and on Azure."""

    lab: Lab
    repository: Repository


@pytest.fixture(scope="module")
def team(
    render: Render, terraform: Terraform, project_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Team]:
    """Both environments applied and trusting their service connections, and a protected production."""
    project, folder = render(PIPELINES), tmp_path_factory.mktemp("team")
    known = landing_zone_of(apply_both(terraform, project, folder, "infra", partial(trusting, PIPELINES)))
    know_reader(known, subject_of("production-plan"))
    clients = {one["name"]: one["client"] for one in known["principals"]}
    with ExitStack() as stack:
        lab = stack.enter_context(azure_lab(project, project_python, folder, lambda _: None, known))
        network = {**lab.azure.environment, **lab.azure.pipelines_agent()}
        connections = connect(lab.azure, IDENTITIES, clients)
        repository = stack.enter_context(
            running_repository(folder, lab.mlops.root, project_python, network, connections)
        )
        repository.devops.checks = {"staging": [], "production": [APPROVAL, BRANCH_CONTROL]}
        yield Team(lab, repository)


def test_a_training_is_released_to_production_once_alice_approves(team: Team) -> None:
    done = team.repository.run("train")
    assert set(done.stages.values()) == {"Succeeded"}, done.log
    assert team.lab.served("production") == {1}
    history = json.loads(team.lab.mlops("history", "--on", "azureml", "--format", "json").text)
    assert [period["by"] for period in history["production"]["periods"]] == ["Alice, approval"]
    assert any("accepted, registered as version 1" in text for text in done.summaries)
    assert any("Version 1 of credit-risk is in staging and waits for approval" in text for text in done.summaries)
    assert team.repository.devops.calls == WHO_APPROVED


def test_a_refused_model_ends_green_and_is_not_released(team: Team) -> None:
    before, registered = len(team.lab.azure.calls()), team.lab.registered()
    with edited(team.repository.work / "project.yml", "seed: 7", "seed: 8"):
        done = team.repository.run("train")
    assert done.stages == {"train": "Succeeded", **UNRELEASED}, done.log
    [summary] = done.summaries
    assert summary.startswith("## ❌ Credit Risk: refused, not registered\n\n- `tie`: It scores the same")
    assert team.lab.registered() == registered
    assert team.lab.azure.changes(before, "-production") == []


@pytest.mark.exhaustive
def test_data_that_fail_an_expectation_end_red(team: Team) -> None:
    before, registered = len(team.lab.azure.calls()), team.lab.registered()
    with edited(team.repository.work / "data" / "credit.csv", "freelance", "pirate"):
        done = team.repository.run("train")
    assert done.stages == {"train": "Failed", **UNRELEASED}, done.log
    [summary] = done.summaries
    assert "failed in the step validate: Error: The data fails 1 of 42 expectations" in summary
    assert team.lab.registered() == registered
    assert team.lab.azure.changes(before, "-production") == []


@pytest.mark.exhaustive
def test_a_day_without_a_new_model_ends_green(team: Team) -> None:
    done = team.repository.run("release")
    assert done.stages == {"find": "Succeeded", "staging": "Skipped", "production": "Skipped"}, done.log
    assert "No version waits for its release." in done.summaries


def test_a_version_that_fails_in_staging_never_comes_near_production(team: Team) -> None:
    team.lab.seed(2, stage="registered")
    before = len(team.lab.azure.calls())
    team.lab.azure.plant("server-error", f"POST /inference/{PREFIX}-staging-.*/score", count=100)
    done = team.repository.run("release")
    team.lab.azure.clear_faults()
    assert done.stages == {"find": "Succeeded", "staging": "Failed", "production": "Skipped"}, done.log
    assert "Version 2 was not released to staging" in done.summaries[-1]
    assert team.lab.azure.changes(before, "-production") == []
    assert (team.lab.served("production"), done.asked) == ({1}, [])


@pytest.mark.parametrize(
    ("answer", "result"),
    [("rejected", "Failed"), pytest.param("timed out", "Skipped", marks=pytest.mark.exhaustive)],
)
def test_a_release_that_nobody_approves_leaves_production_alone(team: Team, answer: str, result: str) -> None:
    before = len(team.lab.azure.calls())
    done = team.repository.run("release", answer, version="2")
    assert done.stages == {"find": "Succeeded", "staging": "Succeeded", "production": result}, done.log
    assert team.lab.azure.changes(before, "-production") == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("checks", [[], [APPROVAL], [BRANCH_CONTROL]])
def test_an_environment_that_asks_nobody_is_refused(team: Team, checks: list[object]) -> None:
    """Azure DevOps would let the stage start."""
    before, protected = len(team.lab.azure.calls()), team.repository.devops.checks["production"]
    team.repository.devops.checks["production"] = checks  # type: ignore[assignment]
    done = team.repository.run("release", version="2")
    team.repository.devops.checks["production"] = protected
    assert done.stages == {"find": "Succeeded", "staging": "Succeeded", "production": "Failed"}, done.log
    assert "The environment production of Azure DevOps lacks" in done.summaries[-1]
    assert team.lab.azure.changes(before, "-production") == []


@pytest.mark.exhaustive
def test_a_failed_canary_is_rolled_back(team: Team) -> None:
    # The three requests of the smoke test succeed, and the first of those with 10 % of the traffic.
    team.lab.azure.plant("server-error", f"POST /inference/{PREFIX}-production-.*/score", skip=4, count=100)
    done = team.repository.run("release", version="2")
    team.lab.azure.clear_faults()
    assert done.stages["production"] == "Failed", done.log
    assert "Production still serves version 1." in done.summaries[-1]
    assert team.lab.served("production") == {1}


@pytest.mark.exhaustive
@pytest.mark.parametrize(("stage", "moment"), [("staging", "Smoke test"), ("production", "10 % of the traffic")])
def test_a_cancelled_release_restores_what_was_served(team: Team, stage: str, moment: str) -> None:
    team.lab.mlops("deploy", "staging", "--version", "1", "--on", "azureml")
    done = team.repository.run("release", cancel=Cancel(f"Deploy to {stage}", moment), version="2")
    assert done.stages[stage] == "Canceled", done.log
    assert "restoring what was served before" in done.log
    assert (team.lab.served(stage), team.lab.served("production")) == ({1}, {1})


@pytest.mark.exhaustive
def test_the_run_after_one_whose_agent_was_lost_recovers(team: Team) -> None:
    cancel = Cancel("Deploy to production", "10 % of the traffic", patience=0)
    cancelled = team.repository.run("release", cancel=cancel, version="2")
    assert cancelled.stages["production"] == "Canceled", cancelled.log
    assert team.lab.served("production") <= {1, 2}  # somebody always answers
    team.lab.age_release("production", 300)
    done = team.repository.run("release", version="2")
    assert done.result == "Succeeded", done.log
    assert "the interrupted release of version 2" in done.log
    assert team.lab.served("production") == {2}


@pytest.mark.exhaustive
def test_a_rollback_returns_to_the_version_before(team: Team) -> None:
    done = team.repository.run("rollback")
    assert (done.result, done.asked) == ("Succeeded", ["production"]), done.log
    assert team.lab.served("production") == {1}


@pytest.mark.exhaustive
def test_an_expired_assertion_changes_nothing(team: Team) -> None:
    before = len(team.lab.azure.calls())
    team.lab.azure.shorten(3600, -60)
    done = team.repository.run("release", version="1")
    team.lab.azure.shorten(3600, 300)
    assert done.stages == {"find": "Succeeded", "staging": "Failed", "production": "Skipped"}, done.log
    [summary] = done.summaries
    assert "AADSTS700024" in summary
    assert team.lab.azure.changes(before) == []


@pytest.mark.exhaustive
def test_monitoring_is_looked_at_by_who_may_only_read(team: Team) -> None:
    before, needs = len(team.lab.azure.calls()), len(team.lab.azure.needs())
    done = team.repository.run("monitor")
    assert (done.result, done.asked) == ("Succeeded", []), done.log
    assert "credit-risk-production-monitor is on; it has not run yet." in done.log
    team.lab.fail_monitoring()
    done = team.repository.run("monitor")
    assert done.result == "Failed", done.log
    [summary] = done.summaries
    assert re.search(r"credit-risk-production-monitor ran last at 20\d\d-.* UTC: Failed\.", summary)
    needed = team.lab.azure.needs()[needs:]
    assert {(who, need["action"].rpartition("/")[2], allowed) for who, need, allowed in needed} == {
        ("reader", "read", True)
    }
    assert team.lab.azure.changes(before) == []
