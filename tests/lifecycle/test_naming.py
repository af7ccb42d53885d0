"""Names in project.yml that Azure or Terraform would refuse, after an edit by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlops.config import Project, load_project
from mlops.errors import ConfigError
from mlops.naming import ENVIRONMENTS, RULES, STRICTEST

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
def test_azure_accepts_the_names_of_every_accepted_prefix(tmp_path: Path, length: int) -> None:
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
        f"azure.prefix = '{prefix}': the Key Vault kv-{prefix}-production would have {length + 14} "
        "characters, Azure allows 24; use at most 10 for the prefix. Expected: "
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


def test_environments_share_only_names_inside_other_resources() -> None:
    same = {key for key, rule in RULES.items() if rule.name("toy", "staging") == rule.name("toy", "production")}
    assert same == {"container_subnet", "attached_cluster", "compute"}
