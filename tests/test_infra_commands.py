"""`mlops infra`, with the real Terraform and its real backend: the state and the plans live in the double's storage."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure_project import PREFIX
from doubles.terraform.client import Terraform
from infra_site import Site, changed, running_site
from landing_zone import CONNECTIONS, ENVIRONMENTS, trusting_terraform
from rendering import Render


@pytest.fixture(scope="module")
def site(
    render: Render, terraform: Terraform, project_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with running_site(render({}), terraform, project_python, folder) as site:
        yield site


@pytest.fixture(scope="module")
def built(site: Site) -> Site:
    """Both environments, each applied once by an identity that may write the state."""
    for environment in ENVIRONMENTS:
        digest, changed = site.plan(environment, f"{environment}-infra")
        assert changed
        done = site.apply(environment, digest)
        assert done.returncode == 0, done.stdout
    return site


def test_the_first_plan_needs_an_identity_that_may_create_the_state(site: Site) -> None:
    """Runs first: no state exists yet."""
    done = site.run("staging-plan", "plan", "staging")
    assert done.returncode == 1
    assert "Error: Terraform could not connect to the state of staging: " in done.stdout
    assert "an identity that only plans cannot create the state" in done.stdout
    assert not site.blob("staging", "tfstate/infra.tfstate").exists()


def test_an_applied_environment_has_no_changes(built: Site, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    done = built.run("staging-plan", "plan", "staging", GITHUB_OUTPUT=str(outputs))
    assert done.returncode == 0, done.stdout
    assert "Staging matches infra/." in done.stdout
    assert done.stdout.splitlines()[-1].endswith(" changes=false")
    assert read_outputs(outputs) | {"plan": ""} == {"plan": "", "changes": "false", "drift": ""}


def test_the_approved_plan_is_applied(built: Site) -> None:
    """From the plan of the identity that reads to the apply of the one that writes; the plan is used once."""
    with changed(built, "staging"):
        digest, found = built.plan("staging")
        assert found
        assert built.blob("staging", f"tfplans/staging/{digest}").is_file()
        done = built.apply("staging", digest)
        assert done.returncode == 0, done.stdout
        assert "0 added, 1 changed, 0 destroyed" in done.stdout
    assert not built.blob("staging", f"tfplans/staging/{digest}").exists()
    again = built.apply("staging", digest)
    assert again.returncode == 1
    assert f"Staging has no plan {digest}" in again.stdout
    assert "Nothing was applied" in again.stdout


def test_drift_is_reported_without_values(built: Site, tmp_path: Path) -> None:
    outputs, summary = tmp_path / "outputs", tmp_path / "summary.md"
    with changed(built, "staging"):
        done = built.run(
            "staging-plan", "plan", "staging", GITHUB_OUTPUT=str(outputs), GITHUB_STEP_SUMMARY=str(summary)
        )
    assert done.returncode == 0, done.stdout
    drift = "Staging: 1 to change. `azurerm_machine_learning_workspace.this` (change)"
    said = read_outputs(outputs)
    assert (said["changes"], said["drift"]) == ("true", drift)
    assert done.stdout.splitlines()[-1] == f"plan={said['plan']} changes=true"
    page = summary.read_text(encoding="utf-8")
    assert page.startswith("### Staging: 1 to change.\n")
    assert "| `azurerm_machine_learning_workspace.this` | change |" in page
    assert '- "owner"       = "somebody" -> null' in page


def test_a_plan_is_refused_once_another_was_applied(built: Site) -> None:
    with changed(built, "staging"):
        approved, _ = built.plan("staging")
        other, _ = built.plan("staging")
        assert built.apply("staging", other).returncode == 0
        before = built.state("staging")
        done = built.apply("staging", approved)
    assert done.returncode == 1
    assert "could not apply staging: Saved plan is stale. Nothing was applied." in done.stdout
    assert "Make a new plan, and have it approved." in done.stdout
    assert built.state("staging") == before


def test_a_plan_that_was_changed_is_refused(built: Site) -> None:
    with changed(built, "staging"):
        digest, _ = built.plan("staging")
        other, _ = built.plan("staging")
    folder = built.blob("staging", "tfplans/staging")
    shutil.copy(folder / other, folder / digest)
    before = built.state("staging")
    done = built.apply("staging", digest)
    assert done.returncode == 1
    assert f"The plan {digest} of staging was changed after it was made. Nothing was applied." in done.stdout
    assert built.state("staging") == before


def test_a_plan_of_staging_is_refused_in_production(built: Site) -> None:
    """Also if somebody has copied it there."""
    with changed(built, "staging"):
        digest, _ = built.plan("staging")
    done = built.apply("production", digest)
    assert f"Production has no plan {digest}" in done.stdout
    copied = built.blob("production", f"tfplans/production/{digest}")
    copied.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(built.blob("staging", f"tfplans/staging/{digest}"), copied)
    before = [built.state(environment) for environment in ENVIRONMENTS]
    done = built.apply("production", digest)
    assert done.returncode == 1
    assert f"The plan {digest} is for staging, not for production. Nothing was applied." in done.stdout
    assert [built.state(environment) for environment in ENVIRONMENTS] == before


def test_a_lock_that_another_run_left_is_explained(built: Site) -> None:
    with changed(built, "staging"):
        approved, _ = built.plan("staging")
        built.azure.plant("forbidden", r"PUT /storage/.*/tfstate/infra\.tfstate", skip=3)  # the release of the lock
        left = built.apply("staging", approved)
        assert "Error releasing the state lock" in left.stdout
        assert "Nothing was applied" not in left.stdout
        waiting, _ = built.plan("staging")
        done = built.apply("staging", waiting)
        assert "could not apply staging: Error acquiring the state lock. Nothing was applied." in done.stdout
        found = re.search(r"ID: +(\S+)", done.stdout)
        assert found
        unlocked = built.terraform_as("staging-infra", "force-unlock", "-force", found[1])
        assert unlocked.returncode == 0, unlocked.stdout
        assert built.apply("staging", waiting).returncode == 0


def test_an_interrupted_apply_ends_and_releases_the_state(built: Site) -> None:
    """Only `mlops` is interrupted, as when a CI job is cancelled; Terraform ends what it does."""
    with changed(built, "staging"):
        digest, _ = built.plan("staging")
        built.azure.plant("delay", r"PUT /storage/.*/tfstate/infra\.tfstate", skip=2, seconds=3)  # to write the state
        with built.start("staging-infra", "apply", "staging", "--plan", digest) as process:
            assert process.stdout
            said = next(line for line in process.stdout if "Modifying..." in line)
            process.send_signal(signal.SIGINT)
            said += process.stdout.read()
        assert process.returncode != 0
        assert "Interrupt received." in said
        again, _ = built.plan("staging")
        assert built.apply("staging", again).returncode == 0


@pytest.mark.parametrize("job", ["staging", "production-plan", "staging-plan"])
def test_only_the_approved_job_can_apply(job: str, built: Site) -> None:
    """CI of the environment, the identity that plans, and those of the other environment may not."""
    with changed(built, "staging"):
        digest, _ = built.plan("staging")
        before = built.state("staging")
        done = built.run(job, "apply", "staging", "--plan", digest)
    assert done.returncode == 1, done.stdout
    assert built.state("staging") == before


@pytest.mark.parametrize("job", ["staging", "production-plan", "production-infra"])
def test_only_the_environments_own_identities_can_plan(job: str, built: Site) -> None:
    done = built.run(job, "plan", "staging")
    assert done.returncode == 1, done.stdout
    assert "Apply infra/bootstrap/" in done.stdout or "federated credential" in done.stdout


def test_settings_of_the_environment_are_used(built: Site) -> None:
    settings = built.project / "infra" / "staging.tfvars"
    settings.write_text("monthly_budget = 700\n", encoding="utf-8")
    try:
        done = built.run("staging-plan", "plan", "staging")
    finally:
        settings.unlink()
    assert "amount            = 300 -> 700" in done.stdout
    assert "azurerm_consumption_budget_resource_group.this" in done.stdout


def test_whoever_is_logged_in_with_az_can_plan(built: Site) -> None:
    """An operator by hand: both clients ask `az` for tokens."""
    done = built.run_as({"DOUBLE_LOGIN": "operator"}, "plan", "production")
    assert done.returncode == 0, done.stdout
    assert "AZ" in {call["method"] for call in built.azure.calls()}


def test_service_connections_of_azure_pipelines_plan_and_apply(
    render: Render, terraform: Terraform, project_python: Path, tmp_path: Path
) -> None:
    """The connection that only plans can plan, and not apply."""
    connections = {"terraform": CONNECTIONS["staging-infra"], "plan": CONNECTIONS["staging-plan"]}
    rendered = render({"ci_cd": "azure-pipelines"})
    with running_site(rendered, terraform, project_python, tmp_path, trusting_terraform) as site:

        def run(identity: str, *words: str) -> subprocess.CompletedProcess[str]:
            client = site.clients[f"id-{PREFIX}-staging-{identity}"]
            return site.run_as(site.azure.pipelines_job(connections[identity], client), *words)

        first = run("terraform", "plan", "staging")
        assert first.returncode == 0, first.stdout
        digest = first.stdout.split("plan=")[-1].split()[0]
        refused = run("plan", "apply", "staging", "--plan", digest)
        assert "Nothing was applied" in refused.stdout
        applied = run("terraform", "apply", "staging", "--plan", digest)
        assert applied.returncode == 0, applied.stdout
        again = run("plan", "plan", "staging")
        assert again.stdout.endswith(" changes=false\n"), again.stdout


def test_a_token_that_would_expire_is_not_used(built: Site) -> None:
    done = built.run("staging-plan", "plan", "staging", ARM_OIDC_TOKEN="an old one")  # noqa: S106
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"PATH": "/nonexistent"}, "terraform is not on the PATH"),
        ({"AZURE_SUBSCRIPTION_ID": ""}, "AZURE_SUBSCRIPTION_ID is not set"),
        ({"AZURE_CLIENT_ID": ""}, "AZURE_CLIENT_ID is not set in this job"),
    ],
)
def test_what_is_missing_is_said(changes: dict[str, str], error: str, site: Site) -> None:
    done = site.run("staging-plan", "plan", "staging", **changes)
    assert done.returncode == 2, done.stdout
    assert error in done.stdout
    assert "Fix: " in done.stdout


def read_outputs(file: Path) -> dict[str, str]:
    """Return a job's outputs, as GitHub reads them (github/docs, workflow-commands.md, multiline strings)."""
    text = file.read_text(encoding="utf-8")
    return {name: value for name, _, value in re.findall(r"(?ms)^(\w+)<<(\S+)\n(.*?)\n\2$", text)}
