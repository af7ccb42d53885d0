"""Infrastructure and Drift, run by act: the real Terraform, its state in the double, and a reviewer of its plans."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure_project import PREFIX
from doubles.github import Environment, GitHub
from doubles.terraform.client import Terraform
from infra_site import Site, changed, running_site
from landing_zone import ENVIRONMENTS, OTHERS_ON_GITHUB, name_of
from rendering import Render
from variants.findings import Answers
from workflows.repository import Repository, Run, azure_variables
from workflows.terraform import pin_terraform

REVIEWER = "carol"
IDENTITIES = {"plan": "plan", "infra": "terraform"}


@dataclass
class Platform:
    """Two applied environments, and the repository whose workflows change them."""

    site: Site
    github: GitHub
    repository: Repository

    def run(self, workflow: str, event: str = "push") -> Run:
        return self.repository.run(workflow, self.repository.on_main(event))


@pytest.fixture(scope="module")
def platform(
    render: Render, terraform: Terraform, project_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    with running_platform(render({}), terraform, project_python, tmp_path_factory.mktemp("platform")) as platform:
        yield platform


@contextmanager
def running_platform(project: Path, terraform: Terraform, python: Path, folder: Path) -> Iterator[Platform]:
    """Apply both environments, and give a repository the environments that a team makes."""
    with running_site(project, terraform, python, folder) as site:
        github = site.github
        for environment in ENVIRONMENTS:
            site.apply_by_hand(environment)
            for name, identity in IDENTITIES.items():
                variables = azure_variables(site.clients[f"id-{PREFIX}-{environment}-{identity}"])
                reviewers = (REVIEWER,) if (environment, name) == ("production", "infra") else ()
                github.environments[f"{environment}-{name}"] = Environment(reviewers, variables=variables)
        repository = Repository(folder / "github", github, python, oidc=site.azure.github_tokens)
        repository.push(site.project)
        program = pin_terraform(repository.work, terraform, folder / "pinned")
        repository.commit()
        repository.network = site.network(program)
        yield Platform(site, github, repository)


@pytest.mark.exhaustive
def test_a_plan_without_changes_asks_nobody(platform: Platform) -> None:
    run = platform.run("infra.yml")
    assert run.code == 0, run.log
    assert run.jobs == {"Plan staging": "success", "Plan production": "success"}
    assert "Staging matches infra/." in run.summary
    assert "Production matches infra/." in run.summary


@pytest.mark.parametrize(
    ("workflow", "event"),
    [
        ("infra.yml", "push"),
        ("drift.yml", "schedule"),
        ("train.yml", "push"),
        ("release.yml", "schedule"),
        ("monitor.yml", "schedule"),
    ],
)
def test_nothing_happens_before_the_environments_are_protected(platform: Platform, workflow: str, event: str) -> None:
    before = len(platform.github.calls)
    platform.repository.variables = {}
    run = platform.run(workflow, event)
    platform.repository.variables = {"AZURE_READY": "true"}
    assert run.code == 0, run.log
    assert not run.steps
    assert platform.github.calls[before:] == []


def test_staging_is_applied_at_once_and_production_after_its_reviewer(platform: Platform) -> None:
    platform.github.environments["production-infra"].decision = (REVIEWER, "approved")
    with changed(platform.site, "production"):
        run = platform.run("infra.yml")
    assert run.code == 0, run.log
    assert run.jobs == dict.fromkeys(("Plan staging", "Plan production", "Apply production"), "success")
    assert "| `azurerm_machine_learning_workspace.this` | change |" in run.summary
    assert f"Approved by {REVIEWER}, reviewer." in run.log
    with changed(platform.site, "staging"):
        run = platform.run("infra.yml")
    assert run.code == 0, run.log
    assert run.jobs == dict.fromkeys(("Plan staging", "Apply staging", "Plan production"), "success")


def test_a_rejected_plan_is_not_applied(platform: Platform) -> None:
    platform.github.environments["production-infra"].decision = (REVIEWER, "rejected")
    before = platform.site.state("production")
    with changed(platform.site, "production"):
        run = platform.run("infra.yml")
    assert run.jobs["Apply production"] == "failure", run.log
    assert platform.site.state("production") == before


def test_a_plan_that_no_longer_fits_is_not_applied(platform: Platform) -> None:
    """While the reviewer reads, somebody applies another plan."""
    settings = platform.github.environments["production-infra"]
    settings.decision = (REVIEWER, "approved")
    settings.meanwhile = lambda: platform.site.apply_by_hand("production")
    with changed(platform.site, "production"):
        run = platform.run("infra.yml")
    settings.meanwhile = None
    assert run.jobs["Apply production"] == "failure", run.log
    assert "Saved plan is stale. Nothing was applied." in run.summary


def test_nobody_to_approve_means_no_change(platform: Platform) -> None:
    settings = platform.github.environments["production-infra"]
    settings.reviewers = ()
    before = platform.site.state("production")
    with changed(platform.site, "production"):
        run = platform.run("infra.yml")
    settings.reviewers = (REVIEWER,)
    assert run.jobs["Apply production"] == "failure", run.log
    assert "The environment production-infra has no required reviewers" in run.summary
    assert platform.site.state("production") == before


def test_drift_is_one_issue_that_is_closed_once_it_is_gone(platform: Platform) -> None:
    with changed(platform.site, "production"):
        runs = [platform.run("drift.yml", "schedule") for _ in range(2)]
    runs.append(platform.run("drift.yml", "schedule"))
    assert [run.code for run in runs] == [0, 0, 0], runs[-1].log
    [issue] = platform.github.issues
    assert issue["title"] == "Azure does not match infra/"
    assert "Production: 1 to change. `azurerm_machine_learning_workspace.this` (change)" in issue["body"]
    assert issue["state"] == "closed"
    changes = [(call.job, call.method) for call in platform.github.calls if "/issues" in call.path]
    asked = [change for change in changes if change[1] != "GET"]
    assert asked == [("drift.yml:issue", method) for method in ("POST", "PATCH", "PATCH")]


@pytest.mark.exhaustive
@pytest.mark.parametrize("variant", OTHERS_ON_GITHUB, ids=name_of)
def test_every_landing_zone_is_planned_and_applied(
    variant: Answers, render: Render, terraform: Terraform, project_python: Path, tmp_path: Path
) -> None:
    project = Path(shutil.copytree(render(variant), tmp_path / "rendered"))
    if variant["serving"] == "aci-aks":  # as docs/infrastructure.md says, with a certificate or without
        (project / "infra" / "production.tfvars").write_text("allow_plain_http = true\n", encoding="utf-8")
    with running_platform(project, terraform, project_python, tmp_path) as platform:
        platform.github.environments["production-infra"].decision = (REVIEWER, "approved")
        with changed(platform.site, *ENVIRONMENTS):
            runs = [platform.run("drift.yml", "schedule"), platform.run("infra.yml")]
        runs.append(platform.run("drift.yml", "schedule"))
    assert [run.code for run in runs] == [0, 0, 0], "".join(run.log for run in runs)
    planned = ("Plan staging", "Apply staging", "Plan production", "Apply production")
    assert runs[1].jobs == dict.fromkeys(planned, "success")
    assert [issue["state"] for issue in platform.github.issues] == ["closed"]
