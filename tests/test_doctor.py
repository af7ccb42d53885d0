"""What every variant asks of Azure ML passes `mlops doctor`, Azure ML's own validation included."""

from itertools import product
from pathlib import Path

from post_gen_project import KEPT_BY
from rendering import OPTIONS, ROOT, Render
from warm_mlops import warm_mlops

# The options that choose among the files of azureml/, or change project.yml, with which they are loaded.
CHOOSING = ("serving", "batch_endpoint", "monitoring")


def test_no_other_option_changes_what_azure_ml_is_asked_for() -> None:
    choosing = {option for option, kept in KEPT_BY.items() if any("azureml" in str(paths) for paths in kept.values())}
    text = (ROOT / "{{cookiecutter.project_slug}}" / "project.yml").read_text(encoding="utf-8")
    assert choosing | {option for option in OPTIONS if f"cookiecutter.{option}" in text} == set(CHOOSING)


def test_every_variant_passes_the_doctor(render: Render, project_python: Path) -> None:
    variants = [dict(zip(CHOOSING, choices, strict=True)) for choices in product(*(OPTIONS[name] for name in CHOOSING))]
    with warm_mlops(project_python, render({}), {}) as mlops:
        for variant in variants:
            said = mlops("--project", str(render(variant)), "doctor", "--offline")
            assert said.text == "No mistakes in azureml/ and project.yml.\n", variant
