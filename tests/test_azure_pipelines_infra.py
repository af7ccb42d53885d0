"""Infrastructure and Drift of Azure Pipelines in the driver: real commands and Terraform, and Alice, who approves."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure_project import PREFIX
from doubles.azure_devops import APPROVAL, BRANCH_CONTROL
from doubles.terraform.client import Terraform
from infra_site import Site, changed, running_site
from landing_zone import ENVIRONMENTS, trusting_terraform
from pipelines.commands import Command, commands
from pipelines.repository import WHO_APPROVED, Repository, connect, running_repository
from pipelines.run import Run
from rendering import Render
from workflows.terraform import pin_terraform

IDENTITIES = {
    f"{environment}-{name}": f"id-{PREFIX}-{environment}-{identity}"
    for environment in ENVIRONMENTS
    for name, identity in (("plan", "plan"), ("infra", "terraform"))
}
# Staging needs no change, so its apply is skipped.
UP_TO_PRODUCTION = {"plan_staging": "Succeeded", "apply_staging": "Skipped", "plan_production": "Succeeded"}
MATCHING = ["### Staging matches infra/.", "### Production matches infra/."]
ONLY_PLANS = [("staging-plan", "tfplans"), ("production-plan", "tfplans")]


def headlines(done: Run) -> list[str]:
    """Return the first line of each summary."""
    return [summary.partition("\n")[0] for summary in done.summaries]


@dataclass
class Platform:
    """Two applied environments, and the repository whose pipelines change them."""

    site: Site
    repository: Repository

    def needs(self) -> int:
        """Return how often the double has checked a role so far."""
        return len(self.site.azure.needs())

    def wrote(self, since: int) -> list[tuple[str, str]]:
        """Return who tried to write into which container since a number of checks, in the order of their first try."""
        needs = [(who, need) for who, need, _ in self.site.azure.needs()[since:] if need["action"].endswith("/write")]
        found = [(who.removeprefix(f"id-{PREFIX}-"), need["scope"].rpartition("/")[2]) for who, need in needs]
        return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def platform(
    render: Render, terraform: Terraform, project_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """Service connections that plan and apply, and a protected production."""
    project, folder = render({"ci_cd": "azure-pipelines"}), tmp_path_factory.mktemp("platform")
    with ExitStack() as stack:
        site = stack.enter_context(running_site(project, terraform, project_python, folder, trusting_terraform))
        for environment in ENVIRONMENTS:
            site.apply_by_hand(environment)
        program = pin_terraform(site.project, terraform, folder / "pinned")
        network = {**site.network(program), **site.azure.pipelines_agent()}
        connections = connect(site.azure, IDENTITIES, site.clients)
        repository = stack.enter_context(running_repository(folder, site.project, project_python, network, connections))
        repository.devops.checks = {
            "staging-infra": [BRANCH_CONTROL],
            "production-infra": [APPROVAL, BRANCH_CONTROL],
        }
        yield Platform(site, repository)


def test_staging_is_applied_at_once_and_production_once_alice_approves(platform: Platform) -> None:
    before = platform.needs()
    with changed(platform.site, *ENVIRONMENTS):
        done = platform.repository.run("infra")
    assert set(done.stages.values()) == {"Succeeded"}, done.log
    assert platform.wrote(before) == [
        ("staging-plan", "tfplans"),
        ("staging-terraform", "tfstate"),
        ("production-plan", "tfplans"),
        ("production-terraform", "tfstate"),
    ]
    assert (done.asked, platform.repository.devops.calls) == (["production-infra"], WHO_APPROVED)
    assert headlines(done) == ["### Staging: 1 to change.", "### Production: 1 to change."]
    assert "| `azurerm_machine_learning_workspace.this` | change |" in done.summaries[-1]
    assert "Approved by Alice, approval." in done.log


@pytest.mark.exhaustive
def test_a_plan_without_changes_asks_nobody(platform: Platform) -> None:
    before = platform.needs()
    done = platform.repository.run("infra")
    assert done.stages == {**UP_TO_PRODUCTION, "apply_production": "Skipped"}, done.log
    assert (done.asked, platform.repository.devops.calls) == ([], [])
    assert platform.wrote(before) == ONLY_PLANS
    assert headlines(done) == MATCHING


@pytest.mark.exhaustive
@pytest.mark.parametrize(("answer", "result"), [("rejected", "Failed"), ("timed out", "Skipped")])
def test_a_plan_that_nobody_approves_is_not_applied(platform: Platform, answer: str, result: str) -> None:
    before = platform.needs()
    with changed(platform.site, "production"):
        done = platform.repository.run("infra", answer)
    assert done.stages == {**UP_TO_PRODUCTION, "apply_production": result}, done.log
    assert done.asked == ["production-infra"]
    assert platform.wrote(before) == ONLY_PLANS


@pytest.mark.exhaustive
def test_a_plan_that_no_longer_fits_is_not_applied(platform: Platform) -> None:
    """While Alice reads, somebody applies another plan."""
    states: list[bytes] = []

    def meanwhile() -> None:
        platform.site.apply_by_hand("production")
        states.append(platform.site.state("production"))

    with changed(platform.site, "production"):
        done = platform.repository.run("infra", meanwhile=meanwhile)
    assert done.stages == {**UP_TO_PRODUCTION, "apply_production": "Failed"}, done.log
    assert "Saved plan is stale. Nothing was applied." in done.summaries[-1]
    assert [platform.site.state("production")] == states


@pytest.mark.exhaustive
@pytest.mark.parametrize("checks", [[], [APPROVAL], [BRANCH_CONTROL]])
def test_an_environment_that_asks_nobody_is_refused(platform: Platform, checks: list[dict[str, Any]]) -> None:
    """Azure DevOps would let the stage start."""
    before, environments = platform.needs(), platform.repository.devops.checks
    protected, environments["production-infra"] = environments["production-infra"], checks
    with changed(platform.site, "production"):
        done = platform.repository.run("infra")
    environments["production-infra"] = protected
    assert done.stages == {**UP_TO_PRODUCTION, "apply_production": "Failed"}, done.log
    assert bool(done.asked) == (APPROVAL in checks)
    assert "The environment production-infra of Azure DevOps lacks" in done.summaries[-1]
    assert "Nothing was changed." in done.summaries[-1]
    assert platform.wrote(before) == ONLY_PLANS


@pytest.mark.exhaustive
def test_an_expired_assertion_plans_nothing(platform: Platform) -> None:
    before = platform.needs()
    platform.site.azure.shorten(3600, -60)
    done = platform.repository.run("infra")
    platform.site.azure.shorten(3600, 300)
    assert list(done.stages.values()) == ["Failed", "Skipped", "Skipped", "Skipped"], done.log
    [summary] = done.summaries
    assert "AADSTS700024" in summary
    assert platform.needs() == before


@pytest.mark.exhaustive
def test_drift_is_a_warning_and_changes_nothing(platform: Platform) -> None:
    before = platform.needs()
    with changed(platform.site, "production"):
        done = platform.repository.run("drift")
    assert done.jobs == {
        "__default.plan_staging": "Succeeded",
        "__default.plan_production": "Succeeded",
        "__default.issue": "SucceededWithIssues",
    }, done.log
    title, drift = "Azure does not match infra/", "`azurerm_machine_learning_workspace.this` (change)"
    page = f"{platform.repository.devops.url}/office/Credit%20Risk/_build/results?buildId=7"
    assert done.summaries[-1] == f"### {title}\n\nProduction: 1 to change. {drift}\n\nSeen by {page}."
    assert Command("task.logissue", {"type": "warning"}, title) in commands(done.steps[-1].output)
    assert (done.asked, platform.repository.devops.calls) == ([], [])
    assert platform.wrote(before) == ONLY_PLANS


@pytest.mark.exhaustive
def test_without_drift_nobody_is_warned(platform: Platform) -> None:
    done = platform.repository.run("drift")
    assert done.result == "Succeeded", done.log
    assert headlines(done) == MATCHING
