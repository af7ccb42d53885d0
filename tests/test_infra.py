"""Test the rendered infra/ with the real Terraform, for every landing zone that the options can choose."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from doubles.terraform.client import Terraform
from infra_rules import problems
from landing_zone import (
    ENVIRONMENTS,
    LANDING_ZONES,
    OPTIONS,
    Failed,
    LandingZone,
    copy_infra,
    landing_zone,
    name_of,
    variables_of,
)
from post_gen_project import KEPT_BY
from rendering import CONTEXT, ROOT, Render
from rendering import OPTIONS as RENDERED_OPTIONS
from variants.findings import Answers
from variants.matrix import pairwise

REST = pytest.mark.exhaustive
ROOTS = ("infra", "infra/bootstrap")
# Irreplaceable resources: they must survive `terraform destroy`.
PROTECTED = {
    "infra": {
        "azurerm_storage_account.this",
        "azurerm_storage_container.data",
        "azurerm_key_vault.this",
        "azurerm_container_registry.this",
        "azurerm_machine_learning_workspace.this",
    },
    "infra/bootstrap": {
        "azurerm_resource_group.environment",
        "azurerm_resource_group.state",
        "azurerm_storage_account.state",
        "azurerm_storage_container.state",
    },
}


# Every root for each environment; the serving option does not change infra/bootstrap/.
ZONES = [
    (variant, root, environment)
    for variant in LANDING_ZONES
    for root in ROOTS
    for environment in ENVIRONMENTS
    if root == "infra" or variant["serving"] == "managed"
]


# The landing zones that cover every pair of choices.
COVERING = pairwise(LANDING_ZONES)


def each(zones: Iterable[tuple[Answers, str, str]]) -> list[Any]:
    """Return zones as parameters; `make test` runs those of a few landing zones, `make test-all` all of them."""
    return [
        pytest.param(zone, id=f"{zone[1]}-{zone[2]}-{name_of(zone[0])}", marks=() if zone[0] in COVERING else REST)
        for zone in zones
    ]


@pytest.fixture(scope="module", params=each(ZONES))
def zone(
    request: pytest.FixtureRequest, render: Render, terraform: Terraform, tmp_path_factory: pytest.TempPathFactory
) -> LandingZone:
    """Apply a root for the first time, with the defaults."""
    variant, root, environment = request.param
    project = copy_infra(render(variant), tmp_path_factory.mktemp(variant["network"]) / "project")
    made = landing_zone(terraform, project, root, environment)
    made.apply()
    return made


def test_no_other_option_changes_the_landing_zone() -> None:
    """Terraform's input is rendered from these options alone, so a few variants are enough."""
    choosing = {option for option, kept in KEPT_BY.items() if any("infra" in str(paths) for paths in kept.values())}
    written = (ROOT / "{{cookiecutter.project_slug}}" / "project.yml").read_text(encoding="utf-8")
    asked = set(re.findall(r"cookiecutter\.(\w+)", written))
    assert choosing | (asked & set(RENDERED_OPTIONS)) == set(OPTIONS)
    assert "infra/*.*" in CONTEXT["_copy_without_render"]


@pytest.mark.parametrize("variant", COVERING, ids=name_of)
def test_terraforms_identity_may_assign_what_it_assigns(
    variant: Answers, render: Render, terraform: Terraform, tmp_path: Path
) -> None:
    """The conditions of infra/bootstrap/ allow every role of infra/, also those in staging's group."""
    ids = dict(re.findall(r'"(.+)" += "([\w-]{36})"', (render(variant) / "infra/shared/roles.tf").read_text("utf-8")))
    built, allowed = (
        landing_zone(terraform, copy_infra(render(variant), tmp_path / str(number)), root, "production")
        for number, root in enumerate(ROOTS)
    )
    built.apply()
    allowed.apply()
    wide = [
        one.values for one in allowed.resources() if one.type == "azurerm_role_assignment" and "condition" in one.values
    ]
    assigned = [one for one in built.resources() if one.type == "azurerm_role_assignment"]
    assert len(assigned) > len(ids) / 2
    for one in assigned:
        scope, role = one.values["scope"], ids[one.values["role_definition_name"]]
        assert [
            True for own in wide if f"{scope}/".startswith(f"{own['scope']}/") and role in (own["condition"] or "")
        ], one.address


@pytest.mark.parametrize("case", each(case for case in ZONES if case[2] == "staging"))
def test_validate_and_terraforms_own_tests_pass(
    case: tuple[Answers, str, str], render: Render, terraform: Terraform, tmp_path: Path
) -> None:
    variant, root, environment = case
    zone = landing_zone(terraform, copy_infra(render(variant), tmp_path / "project"), root, environment)
    assert terraform.diagnostics(zone.folder) == []
    done = terraform(zone.folder, "test", "-no-color")  # without settings, as a pull request's check
    assert re.search(r"Success! [1-9]\d* passed, 0 failed\.", done.stdout), done.stdout + done.stderr


def test_an_applied_zone_is_correct_and_stable(zone: LandingZone) -> None:
    assert zone.changes() == ""
    assert problems(zone, private="private" in zone.project.parent.name) == []
    with pytest.raises(Failed, match="Instance cannot be destroyed"):
        zone.run("destroy -auto-approve")
    assert {resource.address for resource in zone.resources()} >= PROTECTED[zone.root]


@pytest.mark.parametrize("root", ROOTS)
def test_irreplaceable_resources_are_protected(root: str, render: Render, terraform: Terraform, tmp_path: Path) -> None:
    """Replace one at a time: a plan ends at the first refusal."""
    zone = landing_zone(terraform, copy_infra(render(LANDING_ZONES[0]), tmp_path / "project"), root, "production")
    zone.apply()
    for address in PROTECTED[root]:
        with pytest.raises(Failed, match=rf"Resource {re.escape(address)} has lifecycle\.prevent_destroy set"):
            zone.run(f"plan -replace={address}")


# What the variables of a platform replace.
BROUGHT = {
    "azurerm_log_analytics_workspace.this[0]",
    'azurerm_private_dns_zone.this["registry"]',
    'azurerm_private_dns_zone_virtual_network_link.this["registry"]',
}


@pytest.mark.parametrize(
    "case", each(case for case in ZONES if case[0]["serving"] == "aci-aks" and case[2] != "staging")
)
def test_every_variable_can_be_set(
    case: tuple[Answers, str, str], render: Render, terraform: Terraform, tmp_path: Path
) -> None:
    """Apply every variable over the defaults; the next plan is empty."""
    variant, _, _ = case
    zone = landing_zone(terraform, copy_infra(render(variant), tmp_path / "project"), "infra", "production")
    given = variables_of(zone.folder)
    zone.apply()
    before = {resource.address for resource in zone.resources()}
    zone.apply(**given)
    assert zone.changes(**given) == ""
    after = {resource.address for resource in zone.resources()}
    assert after > before - BROUGHT
    assert not after & BROUGHT
