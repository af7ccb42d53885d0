"""The names of Azure resources: the table of src/mlops/naming.py against Terraform and Azure's limits."""

import json
import re
from itertools import count
from typing import Any

import pytest
from doubles.terraform.client import Terraform
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from pre_gen_project import YAML_VALUES, check_azure_prefix
from rendering import ROOT, Render, load_naming

SUBSCRIPTION = "00000000-0000-4000-8000-00000000000a"
PROJECT = ROOT / "{{cookiecutter.project_slug}}"


naming = load_naming()
# The same in both environments, since they are inside another resource.
INNER = {"build_task", "compute", "attached_cluster", "container_subnet"}
# What infra/ appends to a name: the longest ending, as in the table.
ENDINGS = {"private_endpoint": "-staging-workspace"}
# Created by `mlops deploy` without Terraform.
NOT_OF_TERRAFORM = {"container_group"}
LONGEST = naming.STRICTEST.longest_prefix
PREFIXES = st.from_regex(rf"[a-z][a-z0-9]{{0,{LONGEST - 1}}}", fullmatch=True).filter(
    lambda prefix: prefix not in YAML_VALUES
)


@pytest.fixture(scope="module")
def names(terraform: Terraform, render: Render, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Evaluate infra/shared for several prefixes at once: (prefix, environment) -> names by key."""
    project_yml = (render({}) / "project.yml").read_text(encoding="utf-8")
    shared = {path.name: path.read_text(encoding="utf-8") for path in (PROJECT / "infra" / "shared").glob("*.tf")}
    numbers = count()

    def names(prefixes: list[str]) -> dict[tuple[str, str], dict[str, str]]:
        folder = tmp_path_factory.mktemp(f"names{next(numbers)}")
        main = ""
        for number, prefix in enumerate(prefixes):
            module = folder / str(number) / "infra" / "shared"
            module.mkdir(parents=True)
            changed, found = re.subn(r"(?m)^  prefix: .*$", f"  prefix: {prefix}", project_yml)
            assert found == 1
            (folder / str(number) / "project.yml").write_text(changed, encoding="utf-8")
            for name, text in shared.items():
                (module / name).write_text(text, encoding="utf-8")
            for environment in naming.ENVIRONMENTS:
                key = f"p{number}_{environment}"
                main += (
                    f'module "{key}" {{\n  source = "./{number}/infra/shared"\n  environment = "{environment}"\n'
                    f'  subscription = "{SUBSCRIPTION.upper()}"\n}}\n'
                )
                main += f'output "{key}" {{\n  value = module.{key}.names\n}}\n'
        (folder / "main.tf").write_text(main, encoding="utf-8")
        for command in ("init", "apply -auto-approve"):
            done = terraform(folder, *command.split())
            assert done.returncode == 0, done.stderr
        outputs = json.loads(terraform(folder, "output", "-json").stdout)
        return {
            (prefix, environment): outputs[f"p{number}_{environment}"]["value"]
            for number, prefix in enumerate(prefixes)
            for environment in naming.ENVIRONMENTS
        }

    return names


def in_python(prefix: str, environment: str) -> dict[str, str]:
    unique = naming.unique(SUBSCRIPTION, prefix, environment)
    return {key: rule.name(prefix, environment, unique=unique) for key, rule in naming.RULES.items()}


@given(st.lists(PREFIXES, min_size=1, max_size=25, unique=True))
@example(["a", "a" * LONGEST, "z9", "a" + "0" * (LONGEST - 1), "staging", "production"[:LONGEST], "tf", "st"])
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])  # each example takes seconds
def test_terraform_and_python_use_the_same_names(names: Any, prefixes: list[str]) -> None:
    found = names(prefixes)
    for (prefix, environment), outputs in found.items():
        expected = {key: name for key, name in in_python(prefix, environment).items() if key not in NOT_OF_TERRAFORM}
        assert {key: name + ENDINGS.get(key, "") for key, name in outputs.items()} == expected
    for prefix in prefixes:
        staging, production = (found[prefix, environment] for environment in naming.ENVIRONMENTS)
        assert {key for key in staging if staging[key] == production[key]} == INNER


@given(PREFIXES)
@example("a")
@example("a" * LONGEST)
@settings(deadline=None)
def test_azure_accepts_every_name_of_an_accepted_prefix(prefix: str) -> None:
    assert naming.prefix_problem(prefix) is None
    for environment in naming.ENVIRONMENTS:
        for key, rule in naming.RULES.items():
            for slot in ("blue", "green"):
                assert rule.allows(rule.name(prefix, environment, slot)), key


@given(st.integers(LONGEST + 1, 300))
@example(LONGEST + 1)
@settings(deadline=None)
def test_a_longer_prefix_is_refused_and_one_of_its_names_is_illegal(length: int) -> None:
    prefix = "a" * length
    problem = naming.prefix_problem(prefix)
    assert problem == (
        f"the Key Vault kv-{prefix}-xxxxxx would have {length + 10} characters, Azure allows 24; "
        "use at most 14 for the prefix"
    )
    assert not naming.RULES["key_vault"].allows(f"kv-{prefix}-xxxxxx")


@pytest.mark.parametrize("key", sorted(set(naming.RULES) - INNER))
def test_a_rule_allows_its_longest_prefix_and_no_longer_one(key: str) -> None:
    rule = naming.RULES[key]
    fits = [all(rule.allows(rule.name("a" * n, e)) for e in naming.ENVIRONMENTS) for n in range(1, 300)]
    assert fits == [n <= rule.longest_prefix for n in range(1, 300)]
    assert rule.longest_prefix >= LONGEST


@given(st.lists(PREFIXES, min_size=2, max_size=25, unique=True))
@example(["a", "aa", "s", "st", "t", "tf", "astaging", "staging"])
@settings(deadline=None)
def test_no_two_resources_have_one_name(prefixes: list[str]) -> None:
    """Within an environment, between both, and for different prefixes: some names are global in Azure."""
    names = [
        in_python(prefix, environment)[key]
        for key in naming.RULES
        if key not in INNER
        for prefix in prefixes
        for environment in naming.ENVIRONMENTS
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("length", [*range(1, LONGEST + 4), 45])
def test_the_hook_accepts_the_prefixes_that_the_table_allows(length: int) -> None:
    """The hook imports nothing from the project, so it has the limit as a number."""
    for prefix in ("a" * length, "z" + "9" * (length - 1)):
        refused_by_hook = check_azure_prefix({"azure_prefix": prefix}) is not None
        assert refused_by_hook == (naming.prefix_problem(prefix) is not None)
