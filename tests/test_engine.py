"""The variants' engine finds every defect planted in a copy of the template, and nothing else."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from rendering import ROOT, VARIANTS, as_git_repository, git
from test_variants import TEMPLATE_FOLDER
from variants.findings import Finding, read_exceptions, smallest_condition
from variants.matrix import all_variants, name_of, pairwise
from variants.tools import TOOLS

EVERY, GITHUB, AZURE = "every variant", "ci_cd=github-actions", "ci_cd=azure-pipelines"

WORKFLOW = """\
# A workflow with a defect.
name: Defect
on: push
permissions:
  contents: read
concurrency:
  group: defect
  cancel-in-progress: true
jobs:
  job:
    name: Job
    runs-on: ubuntu-24.04
    steps:
"""
KEY = "AKIA" + "QWERTYUIOPASDFGH"  # in two parts, so that this file holds no secret itself


@dataclass(frozen=True)
class Plant:
    """A defective file, and the expected findings: tool, line and rule."""

    path: str
    content: str
    found: tuple[tuple[str, int, str], ...]
    condition: str = EVERY


PLANTS = (
    Plant("docs/a:b.md", "# Colon\n", (("names", 0, "character"),)),
    Plant("docs/aux.md", "# Device\n", (("names", 0, "device"),)),
    Plant("readme.md", "# Case\n", (("names", 0, "case"),)),
    Plant("docs/trailing.md", "# Blanks\n\nAt the end \nof a line.\n", (("text", 3, "trailing"),)),
    Plant("docs/endless.txt", "no newline", (("text", 1, "end"),)),
    Plant("docs/airy.txt", "one\n\n\ntwo\n", (("text", 1, "blank-lines"),)),
    Plant("docs/leftover.txt", "one\n{{ cookiecutter.project_slug }}\n", (("leftovers", 2, "cookiecutter"),)),
    Plant("docs/leftover.py", '"""{% if x %}"""\n', (("leftovers", 1, "statement"),)),
    Plant(
        ".github/workflows/leftover.yml",
        WORKFLOW.replace("Defect", '"{{ cookiecutter.project_name }}"') + "      - run: date\n        name: Tell\n",
        (("leftovers", 2, "cookiecutter"), ("leftovers", 2, "expression")),
        GITHUB,
    ),
    Plant("docs/bad.toml", "[one]\ntwo =\n", (("toml", 2, "syntax"),)),
    Plant("docs/bad.json", '{\n  "one": 1,\n}\n', (("json", 3, "syntax"),)),
    Plant("docs/unused.py", "import os\n", (("ruff-check", 1, "F401"),)),
    Plant("azure-pipelines/unformatted.py", 'x = {  "a":1 }\n', (("ruff-format", 1, "unformatted"),), AZURE),
    Plant("src/mlops/wrong.py", 'NUMBER: int = "one"\n', (("mypy", 1, "assignment"),)),
    Plant("docs/twice.yml", "one: 1\none: 2\n", (("yamllint", 2, "key-duplicates"),)),
    Plant(
        ".github/workflows/unknown.yml",
        WORKFLOW + "      - run: echo $x\n        name: Tell\n        nope: 1\n",
        (("actionlint", 14, "shellcheck"), ("actionlint", 16, "syntax-check"), ("workflow-schema", 0, "schema")),
        GITHUB,
    ),
    Plant(
        ".github/workflows/tagged.yml",
        WORKFLOW + "      - uses: actions/checkout@v7\n        with:\n          persist-credentials: false\n",
        (("zizmor", 14, "unpinned-uses"),),
        GITHUB,
    ),
    Plant(
        ".github/actions/odd/action.yml",
        "# An action with a defect.\nname: Odd\ndescription: Do it.\nruns:\n  using: composite\n  steps: 1\n",
        (("action-schema", 0, "schema"),),
        GITHUB,
    ),
    Plant(".github/dependabot.yml", "version: 2\nupdates: 1\n", (("dependabot-schema", 0, "schema"),), GITHUB),
    Plant(
        "azure-pipelines/unknown.yml",
        "jobs:\n  - job: one\n    stepz: []\n",
        (("pipeline-schema", 0, "schema"),),
        AZURE,
    ),
    Plant(
        "azure-pipelines/without.yml",
        "steps:\n  - template: templates/none.yml\n",
        (("pipeline-schema", 0, "expansion"),),
        AZURE,
    ),
    Plant(".pre-commit-config.yaml", "repos: 1\n", (("prek", 0, ""),)),
    Plant("docs/secret.txt", f"key = {KEY}\n", (("gitleaks", 1, "aws-access-token"),)),
    Plant("docs/heading.md", "# One\n\n### Three\n", (("markdownlint", 3, "MD001"),)),
    Plant("docs/diagram.md", "# Picture\n\n```mermaid\nflowchart LR\n  a -->\n```\n", (("mermaid", 3, "syntax"),)),
    Plant(
        "docs/broken.md",
        "# Links\n\n[file](nowhere.md)\n\n[anchor](../README.md#nowhere)\n",
        (("lychee", 3, "link"), ("lychee", 5, "link")),
    ),
    Plant("docs/Dockerfile", "FROM python\n", (("hadolint", 1, "DL3006"),)),
    Plant("docs/format/main.tf", "locals {\n  a  = 1\n}\n", (("terraform-fmt", 0, "unformatted"),)),
    Plant(
        "docs/undefined/main.tf",
        'resource "terraform_data" "one" {\n  inputs = 1\n}\n',
        (("terraform-validate", 2, "error"),),
    ),
    Plant(
        "docs/unknown/main.tf",
        'resource "azurerm_resource_group" "one" {\n  name     = "a"\n  location = "westeurope"\n  kind     = "x"\n}\n',
        (("terraform-validate", 4, "error"),),
    ),
    Plant(
        "docs/open/main.tf",
        'terraform {\n  required_providers {\n    azurerm = { source = "localhost/none/azurerm" }\n  }\n}\n\n'
        'resource "azurerm_container_registry" "one" {\n  admin_enabled = true\n}\n',
        (("terraform-validate", 0, "init"), ("checkov", 7, "CKV_AZURE_137")),
    ),
)
# The effect of the hook that `defective` plants: only Azure Pipelines keeps the page.
MISSING = "docs/operations.md"
LINKS = {
    ("lychee", page, number, "link", GITHUB)
    for page in ("README.md", *(f"docs/{path.name}" for path in (ROOT / TEMPLATE_FOLDER / "docs").glob("*.md")))
    for number, line in enumerate((ROOT / TEMPLATE_FOLDER / page).read_text(encoding="utf-8").splitlines(), 1)
    if f"({os.path.relpath(MISSING, Path(page).parent)}" in line
}
HOOK_FINDINGS = {
    ("file-set", MISSING, 0, "missing", GITHUB),
    *LINKS,
    ("file-set", "docs/chance.md", 0, "unexpected", EVERY),
    ("cruft", "docs/chance.md", 0, "differs", EVERY),
}
# An exception that allows nothing.
IDLE = "ruff-check  F401  src/*  # a reason"
EXCEPTIONS = "tests/variants/exceptions.txt"


def plant(folder: Path, path: str, content: str) -> None:
    target = folder / TEMPLATE_FOLDER / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content, encoding="utf-8")


@pytest.fixture(scope="module")
def defective(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the template with PLANTS, an idle exception, and a hook that drops a file and writes a random one."""
    folder = tmp_path_factory.mktemp("defective")
    as_git_repository(ROOT, folder)
    for item in PLANTS:
        plant(folder, item.path, item.content)
    hook = folder / "hooks" / "post_gen_project.py"
    text = hook.read_text(encoding="utf-8")
    kept = [("azure-pipelines", MISSING)]
    kept += [("github-actions", item.path) for item in PLANTS if item.condition == GITHUB]
    kept += [("azure-pipelines", item.path) for item in PLANTS if item.condition == AZURE]
    table = "\n".join(f'KEPT_BY["ci_cd"]["{choice}"] += ("{path}",)' for choice, path in kept)
    changed = text.replace("\ndef paths_to_remove", f"\n{table}\n\n\ndef paths_to_remove").replace(
        "    prune(", '    open("docs/chance.md", "w").write(f"# {hash(str(answers))}\\n")\n    prune('
    )
    assert changed.count(MISSING) == changed.count("chance") == 1
    hook.write_text(changed, encoding="utf-8")
    with (folder / EXCEPTIONS).open("a", encoding="utf-8") as exceptions:
        exceptions.write(f"{IDLE}\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Defects")
    return folder


Seen = set[tuple[str, str, int, str, str]]
FOUND = re.compile(
    r"^(?P<path>.+?)(?::(?P<line>\d+))?: .* \[(?P<tool>[\w-]+)(?: (?P<rule>[^\]]+))?\]\n"
    r"    in (?P<condition>.+) \(\d+ of \d+\)$",
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the engine keeps every variant with a finding."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def said(defective: Path, kept: Path) -> str:
    """Return what the engine prints about the defective template."""
    run = run_engine("--template", defective, "--keep", kept)
    assert run.returncode == 1, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def seen(said: str) -> Seen:
    """Return the findings, each with the smallest set of options that shows it."""
    found = {
        (item["tool"], item["path"], int(item["line"] or 0), item["rule"] or "", item["condition"])
        for item in FOUND.finditer(said)
    }
    [count] = re.findall(r"^(\d+) findings; ", said, re.MULTILINE)
    assert len(FOUND.findall(said)) == int(count)
    return found


@pytest.mark.parametrize("planted", PLANTS, ids=lambda planted: planted.path)
def test_a_planted_defect_is_found_where_it_is(planted: Plant, seen: Seen) -> None:
    """By tool, file, line and options; a new file is also missing from the golden list."""
    expected = {(tool, planted.path, line, rule, planted.condition) for tool, line, rule in planted.found}
    if not (ROOT / TEMPLATE_FOLDER / planted.path).exists():
        expected.add(("file-set", planted.path, 0, "unexpected", planted.condition))
    assert {found for found in seen if found[1] == planted.path} >= expected


def test_a_missing_file_and_random_content_are_found(seen: Seen) -> None:
    paths = {path for _, path, *_ in HOOK_FINDINGS}
    assert {found for found in seen if found[1] in paths} == HOOK_FINDINGS


def test_an_unused_exception_is_a_finding(seen: Seen, said: str) -> None:
    assert ("exceptions", EXCEPTIONS, 0, "idle", EVERY) in seen
    assert f"{EXCEPTIONS}: allows F401 in src/*, which ruff-check no longer finds: remove the line" in said


def test_nothing_else_is_found(seen: Seen) -> None:
    planted = {*(item.path for item in PLANTS), EXCEPTIONS}
    assert {found for found in seen if found[1] not in planted} == HOOK_FINDINGS


def test_the_counts_and_the_table_of_tools_are_shown(said: str) -> None:
    assert said.startswith(f"{len(VARIANTS)} variants (0 more are refused by pre_gen); checking {len(VARIANTS)}.\n")
    assert re.search(rf"^{len(VARIANTS)} variants rendered twice in [\d.]+ s: \d+ distinct contents\.$", said, re.M)
    assert re.search(r"^tool +judged +findings +seconds$", said, re.M)
    rows = re.findall(r"^([\w-]+) +(\d+) +(\d+) +\d+\.\d\d$", said, re.M)
    assert [name for name, _, _ in rows] == [tool.name for tool in TOOLS]
    assert all(int(judged) > 0 for _, judged, _ in rows)
    assert re.search(rf"^{len(TOOLS)} tool runs judged \d+ files and folders; the variants hold \d+\.$", said, re.M)


def test_every_tool_has_a_planted_defect() -> None:
    assert {tool for item in PLANTS for tool, _, _ in item.found} == {tool.name for tool in TOOLS}


def run_engine(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "variants", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT / "tests", capture_output=True, encoding="utf-8", check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the template, to be damaged."""
    as_git_repository(ROOT, tmp_path / "template")
    return tmp_path / "template"


def test_an_unescaped_github_expression_is_found_by_its_line(copy: Path) -> None:
    plant(copy, "sub/workflow.yml", "# Not among the files that are copied as they are.\nrun: echo ${{ github.sha }}\n")
    run = run_engine("--template", copy)
    assert run.returncode == 1, run.stderr
    count = f"{len(VARIANTS)} of {len(VARIANTS)}"
    assert f"sub/workflow.yml:2: 'github' is undefined [render]\n    in every variant ({count})" in run.stdout


def test_a_failing_hook_is_a_finding_with_its_message(copy: Path) -> None:
    hook = copy / "hooks" / "post_gen_project.py"
    text = hook.read_text(encoding="utf-8")
    hook.write_text(text.replace("    prune(", '    raise SystemExit("Not today.")\n    prune('), encoding="utf-8")
    run = run_engine("--template", copy, "--variant", name_of(VARIANTS[0]))
    assert run.returncode == 1
    assert f"{len(VARIANTS)} variants (0 more are refused by pre_gen); checking 1." in run.stdout
    assert f": Hook script failed (exit status: 1) [render FailedHookException]\n    in {EVERY} (1 of 1)" in run.stdout
    assert run.stderr.count("Not today.\n") == 2  # by cookiecutter, and by cruft


def test_the_variants_with_findings_are_kept(said: str, seen: Seen, kept: Path) -> None:
    assert {found for found in seen if found[1] == ".pre-commit-config.yaml"} == {
        ("prek", ".pre-commit-config.yaml", 0, "", EVERY)
    }
    assert re.findall(r"^Kept: (.*)$", said, re.MULTILINE) == [str(kept / name_of(variant)) for variant in VARIANTS]
    [one, *_] = kept.glob("ci_cd=azure-pipelines+*")
    assert (one / ".pre-commit-config.yaml").read_text(encoding="utf-8") == "repos: 1\n"
    assert not (one / ".github").exists()


def test_an_unknown_variant_is_a_usage_error() -> None:
    run = run_engine("--variant", "ci_cd=gitlab")
    assert run.returncode == 2
    assert "No variant matches ci_cd=gitlab. There are:\n  ci_cd=github-actions" in run.stderr


def test_a_combination_that_the_hook_refuses_is_not_a_variant(copy: Path) -> None:
    hook = copy / "hooks" / "pre_gen_project.py"
    text = hook.read_text(encoding="utf-8")
    rule = 'lambda answers: "shorter" if answers["ci_cd"] == "azure-pipelines" else None'
    hook.write_text(text.replace("check_description,\n", f"{rule},\n"), encoding="utf-8")
    accepted, refused = all_variants(copy)
    assert ({v["ci_cd"] for v in accepted}, {v["ci_cd"] for v in refused}) == ({"github-actions"}, {"azure-pipelines"})


def test_the_smallest_set_of_options() -> None:
    cases = [{"a": a, "b": b, "c": c} for a in "12" for b in "12" for c in "12"]

    def showing(**choices: str) -> set[int]:
        return {n for n, case in enumerate(cases) if choices.items() <= case.items()}

    assert smallest_condition(showing(), cases) == "every variant"
    assert smallest_condition(showing(b="2"), cases) == "b=2"
    assert smallest_condition(showing(a="1", c="2"), cases) == "a=1 + c=2"
    assert smallest_condition({0, 7}, cases) == "a=1 + b=1 + c=1"


def test_a_pairwise_set_covers_every_pair() -> None:
    cases = [
        {"a": a, "b": b, "c": c, "d": d} for a in "123" for b in "12" for c in "12" for d in "123" if a + d != "13"
    ]
    chosen = pairwise(cases)
    pairs = {(o, case[o], p, case[p]) for case in cases for o in case for p in case}
    assert {(o, case[o], p, case[p]) for case in chosen for o in case for p in case} == pairs
    assert chosen[0] == cases[0]
    assert len(chosen) <= 11  # of 32; nine is the least that nine pairs of a and d allow


@pytest.mark.parametrize("line", ["ruff F401 src/*", "ruff F401 src/* #", "ruff src/* # a reason"])
def test_an_incomplete_exception_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "exceptions.txt").write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"exceptions\.txt:1 is not"):
        read_exceptions(tmp_path / "exceptions.txt")


def test_a_finding_names_tool_file_and_line() -> None:
    assert str(Finding("ruff-check", "src/a.py", 3, "F401", "unused")) == "src/a.py:3: unused [ruff-check F401]"
