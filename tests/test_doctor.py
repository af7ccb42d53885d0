"""Every variant passes `mlops doctor`, Azure ML's own validation included; its page and its regions are current."""

import ast
import re
from itertools import product
from pathlib import Path
from typing import Any

from post_gen_project import KEPT_BY
from pre_gen_project import AZURE_REGIONS
from rendering import OPTIONS, ROOT, Render
from warm_mlops import warm_mlops

PROJECT = ROOT / "{{cookiecutter.project_slug}}"
DOCTOR = PROJECT / "src" / "mlops" / "azure" / "doctor"
# The options that choose files of azureml/ or change project.yml, with which those files are loaded.
CHOOSING = ("serving", "batch_endpoint", "monitoring", "network")


def test_no_other_option_changes_the_files_for_azure_ml() -> None:
    choosing = {option for option, kept in KEPT_BY.items() if any("azureml" in str(paths) for paths in kept.values())}
    text = (PROJECT / "project.yml").read_text(encoding="utf-8")
    assert choosing | {option for option in OPTIONS if f"cookiecutter.{option}" in text} == set(CHOOSING)


def test_every_variant_passes_the_doctor(render: Render, project_python: Path) -> None:
    variants = [dict(zip(CHOOSING, choices, strict=True)) for choices in product(*(OPTIONS[name] for name in CHOOSING))]
    with warm_mlops(project_python, render({}), {}) as mlops:
        for variant in variants:
            said = mlops("--project", str(render(variant)), "doctor", "--offline")
            assert said.text == "No problems in azureml/ and project.yml.\n", variant


def constant(file: str, name: str) -> Any:
    """Return a constant of the doctor; its modules cannot be imported without the project's packages."""
    for node in ast.parse((DOCTOR / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    raise LookupError(name)


ERRORS, WARNINGS = (constant("documents.py", name).split() for name in ("ERRORS", "WARNINGS"))


def test_the_page_documents_every_code_and_no_other() -> None:
    page = (PROJECT / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = re.findall(r'^\| <a id="(\w+)"></a>(\w+) \| (\w+) \| [^|]+ \| [^|]+ \|$', page, re.M)
    severities = [*((code, "error") for code in ERRORS), *((code, "warning") for code in WARNINGS)]
    assert rows == [(code.lower(), code, severity) for code, severity in severities]


def test_the_doctor_knows_the_regions_that_the_template_accepts() -> None:
    assert set(constant("fields.py", "REGIONS").split()) == set(AZURE_REGIONS)


def test_each_finding_uses_a_code_of_the_table() -> None:
    files = [*DOCTOR.glob("*.py"), *(PROJECT / "src" / "mlops" / "readiness").glob("*.py")]
    used = {code for file in files for code in re.findall(r'"(AZ\d{3})"', file.read_text(encoding="utf-8"))}
    assert used == {*ERRORS, *WARNINGS}
