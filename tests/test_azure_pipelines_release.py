"""Train, Release and Rollback of Azure Pipelines in the driver: real commands on the doubles, with the zone's roles."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from azure_landing import landing_zone_of
from azure_project import PREFIX, Lab, azure_lab
from doubles.azure_devops import APPROVAL, BRANCH_CONTROL, TOKEN, AzureDevOps, running_azure_devops, step
from doubles.terraform.client import Terraform
from landing_zone import CONNECTIONS, ENVIRONMENTS, apply_both, trusting
from pipelines.agent import Cancel, World
from pipelines.model import read
from pipelines.run import Run, run
from pipelines.templates import expand
from rendering import ROOT, Render

TOOLS = ROOT / "tests" / "workflows" / "tools"  # stands in for the Python that makes environments
PIPELINES = {"ci_cd": "azure-pipelines"}
# What a task or a job must give, so no process has it from the start.
HELD_BACK = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "DOUBLE_LOGIN")
FROM_AGENT = ("SYSTEM_OIDCREQUESTURI", "AZURE_AUTHORITY_HOST")


@dataclass
class Team:
    """A project on Azure DevOps and on Azure."""

    lab: Lab
    devops: AzureDevOps
    world: World
    runs: int = 0

    def run(self, name: str, answer: str = "approved", cancel: Cancel | None = None, **parameters: str) -> Run:
        """Run a pipeline; Alice answers the question whether it may go to production."""
        self.runs += 1
        steps = [step("approved" if answer == "approved" else answer, "Alice")]
        self.devops.approvals = {"approval-1": ("production", answer, steps)}
        variables = {**self.world.variables, "Build.Reason": "Manual" if parameters else "Schedule"}
        world = replace(
            self.world,
            folder=self.world.folder / str(self.runs),
            environments={"staging": "", "production": answer},
            variables=variables,
            cancel=cancel,
        )
        world.folder.mkdir(parents=True)
        return run(read(expand(world.project, f"azure-pipelines/{name}.yml", parameters)), world)


@pytest.fixture(scope="module")
def team(
    render: Render, terraform: Terraform, project_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Team]:
    """Both environments applied and trusting their service connections, and a protected production."""
    project, folder = render(PIPELINES), tmp_path_factory.mktemp("team")
    known = landing_zone_of(apply_both(terraform, project, folder, "infra", partial(trusting, PIPELINES)))
    clients = {one["name"]: one["client"] for one in known["principals"]}
    with ExitStack() as stack:
        lab = stack.enter_context(azure_lab(project, project_python, folder, lambda _: None, known))
        devops = stack.enter_context(running_azure_devops())
        devops.checks = {"production": [APPROVAL, BRANCH_CONTROL]}
        connections = {}
        for environment in ENVIRONMENTS:
            name = f"id-{PREFIX}-{environment}-ci"
            job = lab.azure.pipelines_job(CONNECTIONS[environment], clients[name])
            task = {key: value for key, value in job.items() if key.startswith("AZURESUBSCRIPTION_")}
            connections[environment] = {**task, "DOUBLE_LOGIN": name}  # the task logs `az` in, too
        agent = {key: value for key, value in job.items() if key in FROM_AGENT}
        network = {key: value for key, value in lab.azure.environment.items() if key not in HELD_BACK}
        path = os.pathsep.join([str(TOOLS), network.get("PATH", os.environ["PATH"])])
        more = {"PATH": path, "PROJECT_PYTHON": str(project_python), "OMP_NUM_THREADS": "1", "HOME": str(folder)}
        given = {name: value for name, value in devops.job().items() if name.startswith(("SYSTEM_COLL", "SYSTEM_TEAM"))}
        world = World(
            Path(shutil.copytree(lab.mlops.root, folder / "repository", ignore=shutil.ignore_patterns(".mlops"))),
            folder / "agents",
            {**network, **agent, **more, **given, "BUILD_BUILDID": "7"},
            connections,
            secrets={"System.AccessToken": TOKEN},
        )
        yield Team(lab, devops, world)


def log(done: Run) -> str:
    return "\n".join(f"{one.stage}: {one.step}: {one.result}\n{one.output}" for one in done.steps)


def changes(lab: Lab, since: int) -> list[str]:
    """Return the calls since a number of them that change production."""
    calls = [call for call in lab.azure.calls()[since:] if call["method"] in ("PUT", "POST", "PATCH", "DELETE")]
    return [call["path"] for call in calls if "-production" in call["path"]]


def test_a_training_is_released_to_production_once_alice_approves(team: Team) -> None:
    done = team.run("train")
    assert set(done.stages.values()) == {"Succeeded"}, log(done)
    assert team.lab.served("production") == {1}
    history = json.loads(team.lab.mlops("history", "--on", "azureml", "--format", "json").text)
    assert [period["by"] for period in history["production"]["periods"]] == ["Alice, approval"]
    assert any("accepted, registered as version 1" in text for text in done.summaries)
    assert any("Version 1 of credit-risk is in staging and waits for approval" in text for text in done.summaries)
    assert team.devops.calls == [
        "GET distributedtask/environments",
        "GET pipelines/checks/configurations",
        "GET build/builds/7/timeline",
        "GET pipelines/approvals/approval-1",
    ]


def test_a_day_without_a_new_model_ends_green(team: Team) -> None:
    done = team.run("release")
    assert done.stages == {"find": "Succeeded", "staging": "Skipped", "production": "Skipped"}, log(done)
    assert "No version waits for its release." in done.summaries


def test_a_version_that_fails_in_staging_never_comes_near_production(team: Team) -> None:
    team.lab.seed(2, stage="registered")
    before = len(team.lab.azure.calls())
    team.lab.azure.plant("server-error", f"POST /inference/{PREFIX}-staging-.*/score", count=100)
    done = team.run("release")
    team.lab.azure.clear_faults()
    assert done.stages == {"find": "Succeeded", "staging": "Failed", "production": "Skipped"}, log(done)
    assert "Version 2 was not released to staging" in log(done)
    assert changes(team.lab, before) == []
    assert (team.lab.served("production"), done.asked) == ({1}, [])


@pytest.mark.parametrize(
    ("answer", "result"),
    [("rejected", "Failed"), pytest.param("timed out", "Skipped", marks=pytest.mark.exhaustive)],
)
def test_a_release_that_nobody_approves_leaves_production_alone(team: Team, answer: str, result: str) -> None:
    before = len(team.lab.azure.calls())
    done = team.run("release", answer, version="2")
    assert done.stages == {"find": "Succeeded", "staging": "Succeeded", "production": result}, log(done)
    assert changes(team.lab, before) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("checks", [[], [APPROVAL], [BRANCH_CONTROL]])
def test_an_environment_that_asks_nobody_is_refused(team: Team, checks: list[object]) -> None:
    """Azure DevOps would let the stage start."""
    before, protected = len(team.lab.azure.calls()), team.devops.checks["production"]
    team.devops.checks["production"] = checks  # type: ignore[assignment]
    done = team.run("release", version="2")
    team.devops.checks["production"] = protected
    assert done.stages == {"find": "Succeeded", "staging": "Succeeded", "production": "Failed"}, log(done)
    assert "The environment production of Azure DevOps lacks" in log(done)
    assert changes(team.lab, before) == []


@pytest.mark.exhaustive
def test_a_failed_canary_is_rolled_back(team: Team) -> None:
    # The three requests of the smoke test succeed, and the first of those with 10 % of the traffic.
    team.lab.azure.plant("server-error", f"POST /inference/{PREFIX}-production-.*/score", skip=4, count=100)
    done = team.run("release", version="2")
    team.lab.azure.clear_faults()
    assert done.stages["production"] == "Failed", log(done)
    assert "Production still serves version 1." in log(done)
    assert team.lab.served("production") == {1}


@pytest.mark.exhaustive
def test_a_cancelled_release_restores_what_was_served(team: Team) -> None:
    done = team.run("release", cancel=Cancel("Deploy to production", "10 % of the traffic"), version="2")
    assert done.stages["production"] == "Canceled", log(done)
    assert "restoring what was served before" in log(done)
    assert team.lab.served("production") == {1}


@pytest.mark.exhaustive
def test_the_run_after_one_whose_agent_was_lost_recovers(team: Team) -> None:
    cancel = Cancel("Deploy to production", "10 % of the traffic", patience=0)
    cancelled = team.run("release", cancel=cancel, version="2")
    assert cancelled.stages["production"] == "Canceled", log(cancelled)
    assert team.lab.served("production") <= {1, 2}  # somebody always answers
    team.lab.age_release("production", 300)
    done = team.run("release", version="2")
    assert done.result == "Succeeded", log(done)
    assert "the interrupted release of version 2" in log(done)
    assert team.lab.served("production") == {2}


@pytest.mark.exhaustive
def test_a_rollback_returns_to_the_version_before(team: Team) -> None:
    done = team.run("rollback")
    assert (done.result, done.asked) == ("Succeeded", ["production"]), log(done)
    assert team.lab.served("production") == {1}
