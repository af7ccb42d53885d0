"""Train, Release and Rollback, run by act: real commands against the double of Azure, with the rights that Terraform gave."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure_landing import landing_zone_of
from azure_project import PREFIX, Lab, azure_lab
from doubles import SUBSCRIPTION, TENANT
from doubles.github import Environment, GitHub, running_github
from doubles.terraform.client import Terraform
from landing_zone import ENVIRONMENTS, copy_infra, landing_zone
from rendering import Render
from workflows.repository import Repository, Run

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

    def decide(self, state: str) -> None:
        """Let a reviewer approve or reject what waits for production."""
        self.github.environments["production"].decision = (REVIEWER, state)


@pytest.fixture(scope="module")
def team(
    render: Render, terraform: Terraform, project_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Team]:
    """Both environments applied, a first version in production, and a repository whose environments know it all."""
    project, folder = render({}), tmp_path_factory.mktemp("team")
    zones = []
    for environment in ENVIRONMENTS:
        zone = landing_zone(terraform, copy_infra(project, folder / environment), "infra", environment)
        zone.apply()
        zones.append(zone)
    known = landing_zone_of(zones)
    clients = {one["name"]: one["client"] for one in known["principals"]}
    with ExitStack() as stack:
        lab = stack.enter_context(azure_lab(project, project_python, folder, lambda _: None, known))
        github = stack.enter_context(running_github(folder))
        for environment in ENVIRONMENTS:
            variables = {
                "AZURE_CLIENT_ID": clients[f"id-{PREFIX}-{environment}-ci"],
                "AZURE_TENANT_ID": TENANT,
                "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            }
            reviewers = (REVIEWER,) if environment == "production" else ()
            github.environments[environment] = Environment(reviewers, variables=variables)
        network = {**lab.azure.environment, "AZURE_AUTHORITY_HOST": lab.azure.url}
        repository = Repository(folder / "github", github, project_python, network, lambda subject: oidc(lab, subject))
        repository.folder.mkdir()
        repository.push(lab.mlops.root)
        yield Team(lab, github, repository)


def oidc(lab: Lab, subject: str) -> dict[str, str]:
    job = lab.azure.github_job(subject, "")
    return {name: job[name] for name in ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")}


def test_a_push_trains_and_releases(team: Team) -> None:
    team.decide("approved")
    run = team.run("train.yml", "push")
    print(run.log[-12000:], run.jobs, *run.steps, run.code, run.summary[:3000], team.github.approvals, team.github.calls,sep="\n")
    assert 0
