"""What Azure resources are called, for every prefix that may be answered: by the real Terraform, from infra/shared."""

import importlib.util
import json
import re
import sys
from itertools import count
from typing import Any

import pytest
from doubles.terraform.client import Terraform
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from pre_gen_project import AZURE_NAMES, YAML_VALUES, check_azure_prefix
from rendering import ROOT, Render

ENVIRONMENTS = ("staging", "production")
PROJECT = ROOT / "{{cookiecutter.project_slug}}"
# These lie within a resource of the environment, and are the same in both: their characters and lengths.
INNER = {
    "compute": (r"[a-zA-Z][a-zA-Z0-9-]*[a-zA-Z0-9]", 3, 32),
    "attached_cluster": (r"[a-zA-Z][a-zA-Z0-9-]*", 2, 16),
    "container_subnet": (r"[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9_])?", 1, 80),
}
# What infra/ adds to a name: of several endings the longest, as in AZURE_NAMES.
ENDINGS = {"private_endpoint": "-staging-workspace"}
# `mlops deploy` makes these, from names.py alone.
NOT_OF_TERRAFORM = {"container group"}
PREFIXES = st.from_regex(r"[a-z][a-z0-9]{0,11}", fullmatch=True).filter(lambda prefix: prefix not in YAML_VALUES)


def legal(prefix: str) -> bool:
    return check_azure_prefix({"azure_prefix": prefix}) is None


LONGEST = max(length for length in range(1, 13) if legal("a" * length))


@pytest.fixture(scope="module")
def names(terraform: Terraform, render: Render, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Evaluate infra/shared for some prefixes at once: (prefix, environment) -> what everything is called."""
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
            for environment in ENVIRONMENTS:
                key = f"p{number}_{environment}"
                main += (
                    f'module "{key}" {{\n  source = "./{number}/infra/shared"\n  environment = "{environment}"\n}}\n'
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
            for environment in ENVIRONMENTS
        }

    return names


@pytest.fixture(scope="module")
def names_in_python() -> Any:
    """The module that `mlops` names resources by, without the rest of the package."""
    spec = importlib.util.spec_from_file_location("names_of_mlops", PROJECT / "src" / "mlops" / "azure" / "names.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    known = {name: sys.modules.get(name) for name in ("mlops", "mlops.config", spec.name)}
    sys.modules.update({"mlops": Any, "mlops.config": type("Config", (), {"Project": object}), spec.name: module})  # type: ignore[dict-item]
    try:
        spec.loader.exec_module(module)
    finally:
        for name, before in known.items():
            sys.modules.pop(name)
            if before:
                sys.modules[name] = before
    return module.Names


@given(st.lists(PREFIXES.filter(legal), min_size=1, max_size=25, unique=True))
@example(["a", "a" * LONGEST, "z9", "a" + "0" * (LONGEST - 1), "staging", "production"[:LONGEST], "tf", "st"])
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])  # each example takes seconds
def test_every_name_is_legal_and_unique(names: Any, names_in_python: Any, prefixes: list[str]) -> None:
    found = names(prefixes)
    for (prefix, environment), called in found.items():
        allowed = {
            one.pattern.format(prefix=prefix, environment=environment): (one.legal, one.shortest, one.longest)
            for one in AZURE_NAMES
            if one.resource not in NOT_OF_TERRAFORM
        }
        called = {name: text + ENDINGS.get(name, "") for name, text in called.items()}
        outer = {text for name, text in called.items() if name not in INNER}
        assert outer == set(allowed)
        for name, text in called.items():
            characters, shortest, longest = INNER.get(name) or allowed[text]
            assert re.fullmatch(characters, text, re.ASCII), (name, text)
            assert shortest <= len(text) <= longest, (name, text)
        in_python = names_in_python(environment, prefix)
        for name in [name for name in vars(names_in_python) if isinstance(vars(names_in_python)[name], property)]:
            assert called[name] == getattr(in_python, name), name
    for prefix in prefixes:
        staging, production = (found[prefix, environment] for environment in ENVIRONMENTS)
        assert {name for name in staging if staging[name] == production[name]} == set(INNER)


@given(st.lists(PREFIXES.filter(legal), min_size=2, max_size=25, unique=True))
@example(["a", "aa", "s", "st", "t", "tf", "astaging", "staging"])
@settings(deadline=None)
def test_no_two_resources_have_one_name(prefixes: list[str]) -> None:
    """In one environment, in both, and for different prefixes: some names must be free in all of Azure."""
    names = [
        one.pattern.format(prefix=prefix, environment=environment)
        for one in AZURE_NAMES
        for prefix in prefixes
        if legal(prefix)
        for environment in ENVIRONMENTS
    ]
    assert len(names) == len(set(names))


def test_one_letter_more_is_too_long() -> None:
    """The rule for prefixes is no stricter than the names need: the next length breaks one of them."""
    problem = check_azure_prefix({"azure_prefix": "a" * (LONGEST + 1)})
    assert problem is not None
    assert "Azure allows" in problem
