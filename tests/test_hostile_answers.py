"""Hostile answers are refused by name, or make a project that passes every check."""

import json
import os
import subprocess
import tempfile
import tomllib
from pathlib import Path

import pre_gen_project as hook
import pytest
import yaml
from cookiecutter.exceptions import FailedHookException
from cookiecutter.main import cookiecutter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rendering import OPTIONS, QUESTIONS, read_files, run_cookiecutter
from variants.engine import check
from variants.findings import Answers, read_exceptions, smallest_condition, without_allowed
from variants.matrix import all_answers, memory

FRAGMENTS = [
    *("'", '"', "`", "\\", "\\\\", "'''", '"""', "\\n", "\\u0041", "\n", "\r\n", "\t", "\0", "\x1b[31m"),  # quoting
    *("{{ 7*7 }}", "{{", "}}", "{%", "%}", "{% raw %}", "{#", "#}", "{{ cookiecutter.__slug }}"),  # Jinja
    *(
        ": ",
        " #",
        "- ",
        "? ",
        "&a",
        "*a",
        "!!python/name:os.system",
        "|",
        ">",
        "%",
        "@",
        "---",
        "null",
        "1e3",
        "~",
    ),  # YAML
    *(
        "$HOME",
        "${x}",
        "$(id)",
        "`id`",
        ";",
        "&&",
        "*",
        "!",
        "<",
        "-rf",
        "--help",
        "%s",
        "%PATH%",
        "${{ x }}",
    ),  # shells
    *("[a]", "[[b]]", " = ", "${var.x}", "%{ if x }", "<<EOF"),  # TOML and HCL
    *("<script>", "[x](y)", "![x](y)", "| a |", "# ", "_a_", "**", "&amp;", "<!--", "http://x.y", "a_b_c"),  # Markdown
    *("con", "NUL", "aux.txt", "..", "/", "a/b", "C:\\x", ".", " ", "~root"),  # paths
    *(
        "é",
        "ß",
        "信用",
        "क्रे",
        "\u0301",
        "🙂",
        "𝔘",
        "\U000e0001",
        "\u202e",
        "\ufeff",
        "\u2028",
        "\x85",
        "\xa0",
    ),  # scripts
    *("a", "x" * 39, "x" * 100, "x" * 200, "0", "-", "_"),
]
TEXTS = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=6).map("".join),
    st.builds("a {} z".format, st.sampled_from(FRAGMENTS)),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)
QUESTION = st.sampled_from([question for question, default in QUESTIONS.items() if not isinstance(default, list)])
# A description may hold nearly any printable text, so more of these cases reach the files.
DESCRIPTIONS = st.lists(st.sampled_from([text for text in FRAGMENTS if text.isprintable()]), min_size=1).map(
    lambda fragments: "".join(fragments).strip()[:200].strip() or "x"
)
# Azure DevOps allows names that GitHub refuses.
DEVOPS_NAMES = st.text("aZ9 ._-", min_size=1, max_size=12)
HOSTILE = st.one_of(
    st.dictionaries(QUESTION, TEXTS, min_size=1, max_size=2),
    st.fixed_dictionaries({"description": DESCRIPTIONS}),
)
ON_DEVOPS = st.fixed_dictionaries(
    {"ci_cd": st.just("azure-pipelines"), "repository": st.builds("{}/{}".format, DEVOPS_NAMES, DEVOPS_NAMES)}
)
# The project's own reader of its settings.
LOAD = "import sys, pathlib, mlops.config\nfor folder in sys.argv[1:]: mlops.config.load_project(pathlib.Path(folder))"


def literal(text: str) -> str:
    """Return a Jinja expression for a text: cookiecutter renders passed answers, but not typed ones."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\r", "\\r").replace("\n", "\\n")
    return f"{{{{ '{escaped}' }}}}"


def draw(answers: st.SearchStrategy[Answers], count: int) -> list[Answers]:
    """Draw answers to some of the questions, the same in each run."""
    drawn: list[Answers] = []

    @settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(answers)
    def collect(given: Answers) -> None:
        drawn.append(given)

    collect()
    return drawn


def test_hostile_answers_are_refused_by_name_or_work(
    template: Path, project_python: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """All at once: the tools judge many files as fast as one."""
    typed = [
        all_answers(template, {name: text if name in OPTIONS else literal(text) for name, text in given.items()})
        for given in [*draw(HOSTILE, 150), *draw(ON_DEVOPS, 20)]
    ]
    refused = [answers for answers in typed if hook.find_problems(answers)]
    accepted = list({json.dumps(answers): answers for answers in typed if answers not in refused}.values())
    assert min(len(refused), len(accepted)) >= 50
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        for answers in refused:
            if names_no_folder(answers["project_slug"]):
                continue  # cookiecutter refuses it itself, before any hook
            refuse(template, answers, Path(folder, "refused"))
            words = capfd.readouterr().err
            for problem in hook.find_problems(answers):
                assert f"  {problem.question} = " in words
        assert_all_work(template, accepted, Path(folder, "accepted"), project_python)


def names_no_folder(slug: str) -> bool:
    """Return whether a slug is not the name of one folder: cookiecutter creates it before the hook checks answers."""
    return slug in ("", ".", "..") or "/" in slug or "\0" in slug or len(slug.encode()) > 255


def refuse(template: Path, answers: Answers, folder: Path) -> None:
    """Replay the answers as prompts give them; the hook refuses them on standard error and leaves no file."""
    folder.mkdir(exist_ok=True)
    replay, config = folder / "answers.json", folder / "config.yml"
    replay.write_text(json.dumps({"cookiecutter": answers}), encoding="utf-8")
    config.write_text(f"replay_dir: '{folder}/replay'\ncookiecutters_dir: '{folder}/clones'\n", encoding="utf-8")
    with pytest.raises(FailedHookException):
        cookiecutter(str(template), replay=str(replay), output_dir=str(folder / "out"), config_file=str(config))
    assert list((folder / "out").iterdir()) == []


def assert_all_work(template: Path, cases: list[Answers], work: Path, python: Path) -> None:
    """Check the projects like variants, and read each answer back from the project."""
    outcome = check(template, cases, work, None, lambda _: None)
    left, _ = without_allowed(outcome.shown, read_exceptions(template / "tests" / "variants" / "exceptions.txt"))
    assert [f"{finding}  with {smallest_condition(shown, cases)}" for finding, shown in left.items()] == []
    for position, answers in enumerate(cases):
        folder = outcome.rendered[position].folder
        assert folder == work / str(position) / answers["project_slug"]
        assert_read_back(folder, answers)
    folders = [project.folder for project in outcome.rendered.values()]
    environment = {**os.environ, "PYTHONPATH": str(folders[0] / "src")}
    loaded = subprocess.run([python, "-c", LOAD, *folders], env=environment, capture_output=True, encoding="utf-8")
    assert loaded.returncode == 0, loaded.stderr


def assert_read_back(project: Path, answers: Answers) -> None:
    config = yaml.safe_load((project / "project.yml").read_text(encoding="utf-8"))
    names = {"project": "project_slug", "name": "project_name", "package": "package_name"}
    names |= {"description": "description", "repository": "repository"}
    assert {field: config[field] for field in names} == {field: answers[name] for field, name in names.items()}
    assert config["azure"]["region"] == answers["azure_region"]
    assert config["azure"]["prefix"] == answers["azure_prefix"]
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (metadata["name"], metadata["description"]) == (answers["project_slug"], answers["description"])
    assert f"src/{answers['package_name']}/__init__.py" in read_files(project)


@pytest.mark.parametrize("slug", ["", ".", "..", "a/b", "../a", "x" * 300])
def test_a_slug_that_is_not_a_folder_name_leaves_no_file(slug: str, template: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    run = run_cookiecutter(template, tmp_path, "--no-input", f"project_slug={slug}")
    assert run.returncode == 1
    assert [path for path in tmp_path.glob("**/*.yml") if ".cookie" not in str(path)] == []


@pytest.mark.parametrize("question", [question for question in QUESTIONS if question not in OPTIONS])
@pytest.mark.parametrize("injection", ["{{ 7*7 }}", "{{ 'risk' ~ 's' }}", "a{# b #}c"])
def test_an_answer_that_cookiecutter_would_render_is_refused(
    question: str, injection: str, template: Path, tmp_path: Path
) -> None:
    """Cookiecutter renders it before the hook sees it, so the hook reads the original answer."""
    run = run_cookiecutter(template, tmp_path, "--no-input", f"{question}={injection}")
    assert run.returncode == 1
    assert f"  {question} = {injection!r}\n    Rule: no {{{{ or {{% or {{#, which start Jinja tags." in run.stderr
    assert "Traceback" not in run.stderr
    assert list((tmp_path / "out").iterdir()) == []
