"""Names in project.yml that Azure or Terraform would refuse, after an edit by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlops.config import Project, load_project
from mlops.errors import ConfigError
from mlops.naming import ENVIRONMENTS, RULES, STRICTEST, unique

LONGEST = STRICTEST.longest_prefix
PROJECT_YML = """\
project: {project}
name: Toy
description: A project for tests.
repository: ORG/toy
package: toy
data: {{path: rows.csv, target: outcome}}
model: {{estimator: random_forest}}
serving: {{staging: {{port: 5080}}, production: {{port: 5090}}}}
azure: {{region: westeurope, prefix: {prefix}}}
"""


def load(folder: Path, project: str = "toy", prefix: str = "toy") -> Project:
    (folder / "project.yml").write_text(PROJECT_YML.format(project=project, prefix=prefix), "utf-8")
    return load_project(folder)


@pytest.mark.parametrize("length", [1, 2, LONGEST - 1, LONGEST])
def test_azure_accepts_the_names_of_every_accepted_prefix(
    tmp_path: Path, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "00000000-0000-4000-8000-000000000001")
    project = load(tmp_path, prefix="a" * length)
    for environment in ENVIRONMENTS:
        for key, rule in RULES.items():
            for slot in ("blue", "green"):
                assert rule.allows(project.azure.name(key, environment, slot)), key


@pytest.mark.parametrize("length", [LONGEST + 1, LONGEST + 2, 31, 45, 300])
def test_a_long_prefix_is_refused_with_the_name_that_it_breaks(tmp_path: Path, length: int) -> None:
    prefix = "a" * length
    with pytest.raises(ConfigError) as error:
        load(tmp_path, prefix=prefix)
    assert (
        f"azure.prefix = '{prefix}': the Key Vault kv-{prefix}-xxxxxx would have {length + 10} "
        "characters, Azure allows 24; use at most 14 for the prefix. Expected: "
    ) in str(error.value)


@pytest.mark.parametrize("project", ["a", "credit-risk", "a1-2b", "x" * 50])
def test_a_project_name_that_every_asset_can_have_is_accepted(tmp_path: Path, project: str) -> None:
    assert load(tmp_path, project=project).project == project


@pytest.mark.parametrize("project", ["x" * 51, "x" * 300, "a--b", "a-", "-a", "a_b", "A", "1a", "a.b", "é"])
def test_any_other_project_name_is_refused(tmp_path: Path, project: str) -> None:
    with pytest.raises(ConfigError, match="Expected: lower-case words joined by hyphens, at most 50"):
        load(tmp_path, project=f"'{project}'")


@pytest.mark.parametrize("value", ["y", "n"])
@pytest.mark.parametrize("field", ["project", "prefix"])
def test_a_name_that_terraform_reads_as_a_boolean_is_refused(tmp_path: Path, field: str, value: str) -> None:
    with pytest.raises(ConfigError, match="Terraform reads y and n as booleans"):
        load(tmp_path, **{field: value})


@pytest.mark.parametrize("value", ["no", "on", "null", "7"])
@pytest.mark.parametrize("field", ["project", "prefix"])
def test_a_name_that_yaml_reads_as_a_value_is_refused(tmp_path: Path, field: str, value: str) -> None:
    with pytest.raises(ConfigError, match="should be a valid string"):
        load(tmp_path, **{field: value})


def test_names_that_azure_shares_differ_by_subscription(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, found = load(tmp_path), []
    for subscription in ("00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"):
        monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", subscription)
        names = {(key, where): project.azure.name(key, where) for key in RULES for where in ENVIRONMENTS}
        monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", subscription.upper())
        assert names == {(key, where): project.azure.name(key, where) for key in RULES for where in ENVIRONMENTS}
        found.append(names)
    differing = {key for key, where in found[0] if found[0][key, where] != found[1][key, where]}
    assert differing == {"storage", "key_vault", "registry", "state_storage", "endpoint", "batch_endpoint"}
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
    assert project.azure.name("workspace", "staging") == "mlw-toy-staging"
    with pytest.raises(ConfigError, match="AZURE_SUBSCRIPTION_ID is not set"):
        project.azure.name("endpoint", "staging")


def test_environments_share_only_names_inside_other_resources() -> None:
    names = {
        where: {key: rule.name("toy", where, unique=unique("a", "toy", where)) for key, rule in RULES.items()}
        for where in ENVIRONMENTS
    }
    same = {key for key in RULES if names["staging"][key] == names["production"][key]}
    assert same == {"build_task", "container_subnet", "attached_cluster", "compute"}
