"""Which answers are valid: examples on both sides of every rule, and the messages that people read."""

import json
import re
import shutil
import subprocess
import tomllib
import unicodedata
from pathlib import Path

import cruft
import pre_gen_project as hook
import pytest
import yaml
from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from rendering import OPTIONS, QUESTIONS, ROOT, Render, git, run_cookiecutter
from variants.findings import Answers


def answers(**given: str) -> Answers:
    """Return the given answers, and the defaults as cookiecutter derives them for the rest."""
    context = generate_context(str(ROOT / "cookiecutter.json"), extra_context=given)
    return {question: str(answer) for question, answer in prompt_for_config(context, no_input=True).items()}


DEFAULTS = answers()

GOOD = {
    "project_name": ["Credit Risk", "ab", "2024 Risk", "Smith's R&D (v1.0)", "Crédit", "信用风险", "क्रेडिट", "x" * 60],
    "project_slug": ["a", "credit-risk", "a1-2b", "credit-risk-" + "x" * 38],
    "package_name": ["a", "credit_risk", "credit2", "x" * 40, "credit_"],
    "description": ["x", 'Say "no" to \\ and \'', "Ja/nein: ü, 信, 🙂 # no comment", "{ almost } a tag", "x" * 200],
    "repository": ["ORG/credit-risk", "a/b", "a-b-c/.github", "A1/a.git.b", "o/_", "o/...", "x" * 39 + "/" + "y" * 100],
    "azure_region": ["westeurope", "eastus2", "uksouth"],
    "azure_prefix": ["a", "credit", "x1", "x" * 14],
}
BAD = {
    "project_name": ["", "x", "x" * 61, " Risk", "Risk ", "-Risk", "Risk/2", "Risk: 2", "Risk\n", "\u0301a", "Risk 🙂"],
    "project_slug": ["", "Credit", "1credit", "a--b", "-a", "a-", "a_b", "a b", "a\n", "é", "x" * 51]
    + ["con", "null", "mlflow", "scikit-learn"],
    "package_name": ["", "Credit", "1credit", "_credit", "a-b", "a.b", "a\n", "é", "x" * 41]
    + [
        "class",
        "match",
        "mlops",
        "tests",
        "json",
        "antigravity",
        "sklearn",
        "great_expectations",
        "yaml",
        "nul",
        "off",
    ],
    "description": ["", " x", "x ", "a\nb", "a\tb", "a\u202eb", "x" * 201],
    "repository": ["", "credit-risk", "/a", "a/", "a/b/c", "-a/b", "a-/b", "a--b/c", "a_b/c", "a b/c", "a/b c", "a/é"]
    + ["x" * 40 + "/b", "a/" + "y" * 101, "a/.", "a/..", "a/b.git", "a/b\n", "https://github.com/a/b"],
    "azure_region": ["", "West Europe", "WestEurope", "westeurop", "usgovvirginia", "westeurope\n"],
    "azure_prefix": ["", "Credit", "1credit", "a-b", "a_b", "é", "a\n", "no", "y", "x" * 15, "x" * 17],
    "ci_cd": ["", "gitlab", "Github-Actions"],
    "serving": ["", "aks", "Managed"],
    "batch_endpoint": ["", "y", "Yes"],
    "monitoring": ["", "true", "No"],
    "network": ["", "vnet", "Private"],
    "connect": ["", "true", "No"],
}


def test_each_rule_has_examples_on_both_sides() -> None:
    assert set(BAD) == set(hook.CHECKS) == set(QUESTIONS)
    assert set(GOOD) == set(QUESTIONS) - set(OPTIONS)


@pytest.mark.parametrize(("question", "answer"), [(question, good) for question in GOOD for good in GOOD[question]])
def test_a_good_answer_passes(question: str, answer: str) -> None:
    assert hook.find_problems({**DEFAULTS, question: answer}) == []


@pytest.mark.parametrize(("question", "answer"), [(question, bad) for question in BAD for bad in BAD[question]])
def test_a_bad_answer_is_the_only_one_reported(question: str, answer: str) -> None:
    [problem] = hook.find_problems({**DEFAULTS, question: answer})
    assert problem.question == question
    assert problem.answer == answer
    assert problem.rule
    if problem.suggestion:
        assert hook.find_problems({**DEFAULTS, question: problem.suggestion}) == []


def test_only_a_repository_of_ones_own_is_connected() -> None:
    assert hook.find_problems({**DEFAULTS, "connect": "yes", "repository": "alice/credit-risk"}) == []
    [problem] = hook.find_problems({**DEFAULTS, "connect": "yes"})
    assert problem.question == "repository"
    assert problem.rule == "to connect, a name of your own before the slash: ORG only stands for it"


@pytest.mark.parametrize(
    ("question", "answer", "suggestion"),
    [
        ("project_name", " Risk/2: the model! ", "Risk 2 the model"),
        ("project_slug", "2024 Crédit_Risk", "credit-risk"),
        ("project_slug", "con", "con-project"),
        ("project_slug", "mlflow", "mlflow-project"),
        ("package_name", "Credit-Risk", "credit_risk"),
        ("package_name", "class", "class_model"),
        ("description", " one\n  two ", "one two"),
        ("repository", "https://github.com/ORG/credit.risk.git", "ORG/credit.risk"),
        ("repository", "git@github.com:ORG/credit-risk.git", "ORG/credit-risk"),
        ("azure_region", "West Europe", "westeurope"),
        ("azure_region", "wsteurop", "westeurope"),
        ("azure_prefix", "Credit_Risk_2024", "creditrisk2024"),
        ("ci_cd", "azure", "azure-pipelines"),
        ("serving", "aks", "aci-aks"),
        ("monitoring", "YES", "yes"),
        ("network", "privat", "private"),
    ],
)
def test_a_report_suggests_an_answer_that_passes(question: str, answer: str, suggestion: str) -> None:
    [problem] = hook.find_problems({**DEFAULTS, question: answer})
    assert problem.suggestion == suggestion


@pytest.mark.parametrize("question", sorted(QUESTIONS))
@pytest.mark.parametrize("tag", ["{{ 7 * 7 }}", "{% raw %}", "{# note #}"])
def test_an_answer_cannot_contain_jinja(question: str, tag: str) -> None:
    reports = [p.rule for p in hook.find_problems({**DEFAULTS, question: tag}) if p.question == question]
    assert reports == ["no {{ or {% or {#, which start Jinja tags"]


def test_a_long_prefix_names_the_resource_that_it_breaks() -> None:
    """tests/test_azure_names.py compares the rule with the table of names in src/mlops/naming.py."""
    [problem] = hook.find_problems({**DEFAULTS, "azure_prefix": "x" * 15})
    assert problem.rule == (
        "at most 14 characters: the Key Vault kv-xxxxxxxxxxxxxxx-xxxxxx would have 25, Azure allows 24"
    )
    assert hook.find_problems({**DEFAULTS, "azure_prefix": "x" * 14}) == []


@pytest.mark.parametrize("repository", ["My Team/credit risk", "a/b", "Team_1/a.b", "x" * 64 + "/" + "y" * 64])
def test_azure_pipelines_takes_an_azure_devops_project_and_repository(repository: str) -> None:
    assert hook.find_problems({**DEFAULTS, "ci_cd": "azure-pipelines", "repository": repository}) == []


@pytest.mark.parametrize("repository", ["a", "a/b/c", "_a/b", "a./b", "a/b.", "a /b", "a/b#", "x" * 65 + "/y"])
def test_azure_pipelines_refuses_what_azure_devops_refuses(repository: str) -> None:
    [problem] = hook.find_problems({**DEFAULTS, "ci_cd": "azure-pipelines", "repository": repository})
    assert "Azure DevOps" in problem.rule


def test_names_in_the_project_environment_are_refused(project_python: Path) -> None:
    """A package would shadow an import of the same name, and a project would replace the distribution."""
    code = "from importlib.metadata import *; import json; print(json.dumps(packages_distributions()))"
    run = subprocess.run([project_python, "-c", code], check=True, stdout=subprocess.PIPE, encoding="utf-8")
    distributions: dict[str, list[str]] = json.loads(run.stdout)
    imports = {name for name in distributions if re.fullmatch(r"[a-z][a-z0-9_]*", name)}
    slugs = {re.sub(r"[-_.]+", "-", name).lower() for names in distributions.values() for name in names}
    assert sorted(imports - set(hook.TAKEN_PACKAGES)) == [], "add these to DEPENDENCIES in hooks/pre_gen_project.py"
    assert sorted(slugs - set(hook.TAKEN_SLUGS)) == [], "add these to DISTRIBUTIONS in hooks/pre_gen_project.py"


def test_the_hook_knows_every_choice() -> None:
    assert {option: list(choices) for option, choices in hook.CHOICES.items()} == OPTIONS


def test_the_hook_knows_the_derived_defaults() -> None:
    derived = {name: default for name, default in QUESTIONS.items() if isinstance(default, str) and "{" in default}
    assert len(derived) == 5
    for question, default in derived.items():
        assert hook.is_own_default(question, default), f'write it as "__{question}" in cookiecutter.json'


@pytest.mark.parametrize("question", ["description", "project_slug"])
def test_jinja_that_is_typed_at_the_prompt_is_refused(question: str) -> None:
    """Only such an answer is not rendered, so the hook is given the default beside it."""
    [problem] = hook.find_problems({**DEFAULTS, question: "a {{ 7 }}"}, {question: str(QUESTIONS[question])})
    assert problem.question == question
    assert problem.rule.startswith("no {{")


@pytest.mark.parametrize("way", ["folder", "current folder", "zip", "git"])
def test_the_derived_defaults_pass_however_cookiecutter_gets_the_template(
    way: str, template: Path, tmp_path: Path
) -> None:
    """The hook is never told where cookiecutter.json is: not by cruft, and as "." for the current folder."""
    source = str(template)
    if way == "current folder":
        source = "."
    elif way == "zip":
        source = shutil.make_archive(str(tmp_path / "template"), "zip", template.parent, template.name)
    elif way == "git":
        git(template, "clone", "--quiet", "--bare", source, str(tmp_path / "origin.git"))
        source = (tmp_path / "origin.git").as_uri()
    run = run_cookiecutter(source, tmp_path, "--no-input", "project_name=New Risk", folder=template)
    assert run.returncode == 0, run.stderr
    config = yaml.safe_load((tmp_path / "out" / "new-risk" / "project.yml").read_text(encoding="utf-8"))
    assert config["azure"]["prefix"] == "newrisk"


def test_the_derived_defaults_pass_under_cruft(template: Path, tmp_path: Path) -> None:
    newer = tmp_path / "template"
    git(template, "clone", "--quiet", str(template), str(newer))
    project = cruft.create(str(newer), tmp_path, extra_context={"project_name": "New Risk"}, default_config=True)
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "The render")
    readme = newer / "{{cookiecutter.project_slug}}" / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8") + "\n{{ cookiecutter.azure_prefix }}\n", encoding="utf-8")
    git(newer, "commit", "--quiet", "--all", "--message", "A change")
    assert cruft.update(project)
    assert (project / "README.md").read_text(encoding="utf-8").endswith("\nnewrisk\n")


def in_a_name(categories: tuple[str, ...], also: str = "") -> st.SearchStrategy[str]:
    return st.characters(categories=categories, include_characters=also)  # type: ignore[arg-type]


LETTERS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")
NAMES = st.builds(
    lambda first, rest: (first + rest).rstrip(),
    in_a_name(LETTERS),
    st.text(in_a_name((*LETTERS, "Mn", "Mc"), " -_.'&()"), min_size=1, max_size=59),
)


@settings(max_examples=150, deadline=None)
@given(NAMES)
@example("2024 risk")
@example("信用 风险")
@example("A&amp")
@example("x" * 60)
@example("信用" * 30)
@example("0.")
@example("a" + "-" * 59)
def test_the_answers_derived_from_a_legal_name_pass(name: str) -> None:
    assume(len(name) >= 2)
    derived = answers(project_name=name)
    assume(derived["project_slug"] not in hook.TAKEN_SLUGS)  # refused, with another name suggested
    assume(derived["package_name"] not in hook.TAKEN_PACKAGES)
    assert hook.find_problems(derived) == []


def assert_refused(run: subprocess.CompletedProcess[str], home: Path) -> None:
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert list((home / "out").iterdir()) == []


def test_all_errors_are_reported_at_once_and_no_file_remains(template: Path, tmp_path: Path) -> None:
    bad = {question: examples[-1] for question, examples in BAD.items() if question not in OPTIONS}
    run = run_cookiecutter(template, tmp_path, "--no-input", *(f"{question}={bad[question]}" for question in bad))
    assert_refused(run, tmp_path)
    for question, answer in bad.items():
        assert f"  {question} = {answer[:60]!r}".encode("ascii", "backslashreplace").decode() in run.stderr
    assert run.stderr.count("    Rule: ") == len(bad)
    assert "7 answers are not valid; nothing was written." in run.stderr


def test_an_invalid_choice_in_a_replay_file_is_refused(template: Path, tmp_path: Path) -> None:
    """Cookiecutter checks choices, but not in a replay file."""
    replay = tmp_path / "replay.json"
    replayed = {**DEFAULTS, "ci_cd": "gitlab", "azure_prefix": 7}
    replay.write_text(json.dumps({"cookiecutter": replayed}), encoding="utf-8")
    run = run_cookiecutter(template, tmp_path, "--replay-file", str(replay))
    assert_refused(run, tmp_path)
    assert "ci_cd = 'gitlab'\n    Rule: one of github-actions, azure-pipelines." in run.stderr
    assert "azure_prefix = '7'\n    Rule: lower-case letters and digits, starting with a letter, and" in run.stderr


UNUSUAL = [
    {"project_name": "Smith's R&D (v1.0)", "description": """It's "quoted", 'twice' & <tagged> # not a comment"""},
    {"project_name": "信用风险", "description": "Crédit: oui/non? 信用 🙂"},
    {"project_name": "2024 Risk", "description": "C:\\new\\table \\\\ \\u0041 %s {0} $HOME ${x} `x` - [x]"},
    {"project_slug": "e5", "package_name": "e5", "azure_prefix": "e5", "description": "null", "repository": "1/2"},
    {"project_slug": "nan", "package_name": "x_", "azure_prefix": "z", "description": "- a: b", "repository": "0/1e3"},
]


@pytest.mark.parametrize("given", UNUSUAL, ids=lambda given: next(iter(given.values())))
def test_unusual_answers_are_read_back_unchanged(given: Answers, render: Render) -> None:
    expected = answers(**given)
    project = render(given)
    config = yaml.safe_load((project / "project.yml").read_text(encoding="utf-8"))
    assert config["project"] == expected["project_slug"] == project.name
    assert config["name"] == expected["project_name"]
    assert config["description"] == expected["description"]
    assert config["repository"] == expected["repository"]
    assert config["package"] == expected["package_name"]
    assert config["azure"]["region"] == expected["azure_region"]
    assert config["azure"]["prefix"] == expected["azure_prefix"]
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["name"] == expected["project_slug"]
    assert metadata["description"] == expected["description"]
    title = (project / "README.md").read_text(encoding="utf-8").splitlines()[0]
    assert unicodedata.normalize("NFC", title) == f"# {expected['project_name']}"
