"""The options, the hooks and the renders. The engine in variants/ checks every variant's files."""

from fnmatch import fnmatch
from pathlib import Path

import cruft
import post_gen_project as hook
import pre_gen_project as pre_gen
import pytest
from rendering import (
    CONTEXT,
    OPTIONS,
    QUESTIONS,
    Render,
    read_files,
    run_cookiecutter,
)
from variants.findings import Answers
from variants.matrix import WITHOUT_FILES, all_answers, all_variants

TEMPLATE_FOLDER = "{{cookiecutter.project_slug}}"


def test_every_pair_of_choices_that_the_hook_refuses_is_refused_by_name(template: Path) -> None:
    """The report names one of the two options, whichever is asked first."""
    _, refused = all_variants(template)
    for variant in refused:
        problems = pre_gen.find_problems(all_answers(template, variant))
        assert {problem.question for problem in problems} <= set(OPTIONS), variant


def test_the_table_of_options_fits_the_questions_and_the_template(template: Path) -> None:
    for option, choices in hook.KEPT_BY.items():
        assert set(choices) <= set(OPTIONS[option]), option
        for paths in choices.values():
            for path in paths:
                assert (template / TEMPLATE_FOLDER / path).exists(), path


CHANGED = {
    "project_name": "Another Name",
    "project_slug": "another-slug",
    "package_name": "another_package",
    "description": "Another description.",
    "repository": "another/repository",
    "azure_region": "uksouth",
    "azure_prefix": "another",
    **{option: choices[-1] for option, choices in OPTIONS.items()},
}


@pytest.mark.parametrize("question", [question for question in QUESTIONS if question not in WITHOUT_FILES])
def test_every_question_changes_the_project(question: str, render: Render) -> None:
    """One by one, with the derived answers at their defaults."""
    held = {"project_slug": "credit-risk", "description": "Classify.", "repository": "o/r", "azure_prefix": "x"}
    held["package_name"] = "credit_risk"
    assert read_files(render(held)) != read_files(render({**held, question: CHANGED[question]}))


def test_connecting_changes_no_file(render: Render) -> None:
    """Without a terminal, nothing is connected either."""
    assert read_files(render({"repository": "o/r"})) == read_files(render({"repository": "o/r", "connect": "yes"}))


def test_verbatim_files_are_copied_byte_for_byte(template: Path, project: Path) -> None:
    sources = read_files(template / TEMPLATE_FOLDER)
    patterns = CONTEXT["_copy_without_render"]
    verbatim = [path for path in read_files(project) if any(fnmatch(path, pattern) for pattern in patterns)]
    assert {path.split("/")[0] for path in verbatim} >= {"src", "data", "expectations", "docs", "requirements.txt"}
    for path in verbatim:
        assert (project / path).read_bytes() == sources[path], path


def test_only_the_seam_is_rendered(template: Path) -> None:
    """Few files hold Jinja, and adding one is a decision: elsewhere `${{ }}` needs no escaping."""
    patterns = CONTEXT["_copy_without_render"]
    sources = read_files(template / TEMPLATE_FOLDER)
    rendered = {path for path in sources if not any(fnmatch(path, pattern) for pattern in patterns)}
    assert {path.rpartition("/")[0] for path in rendered} <= {
        "",
        ".github",
        "src/{{cookiecutter.package_name}}",
        "tests",
    }
    assert {path for path in rendered if "/" not in path} == {"README.md", "project.yml", "pyproject.toml"}


def test_a_second_render_by_the_command_line_has_the_same_modes(
    template: Path, project: Path, variant: Answers, tmp_path: Path
) -> None:
    run = run_cookiecutter(template, tmp_path, "--no-input", *(f"{key}={value}" for key, value in variant.items()))
    assert run.returncode == 0, run.stderr
    again = tmp_path / "out" / project.name
    assert read_files(again) == read_files(project)
    modes = {path.relative_to(project): path.stat().st_mode for path in project.rglob("*")}
    assert modes == {path.relative_to(again): path.stat().st_mode for path in again.rglob("*")}


def test_rendering_over_a_project_gives_the_same(
    template: Path, project: Path, variant: Answers, tmp_path: Path
) -> None:
    answers = [f"{key}={value}" for key, value in variant.items()]
    for _ in range(2):
        run = run_cookiecutter(template, tmp_path, "--no-input", "--overwrite-if-exists", *answers)
        assert run.returncode == 0, run.stderr
    assert read_files(tmp_path / "out" / project.name) == read_files(project)


def test_rendering_over_a_project_keeps_your_own_files(
    template: Path, project: Path, variant: Answers, tmp_path: Path
) -> None:
    """In every folder of the template, those of other options included."""
    own = tmp_path / "out" / project.name
    folders = {path.rpartition("/")[0] for path in read_files(template / TEMPLATE_FOLDER)}
    mine = {f"{folder}/mine.txt".lstrip("/") for folder in folders if "{" not in folder}
    for path in mine:
        (own / path).parent.mkdir(parents=True, exist_ok=True)
        (own / path).write_text("mine", "utf-8")
    answers = [f"{key}={value}" for key, value in variant.items()]
    run = run_cookiecutter(template, tmp_path, "--no-input", "--overwrite-if-exists", *answers)
    assert run.returncode == 0, run.stderr
    assert read_files(own) == read_files(project) | dict.fromkeys(mine, b"mine")


def test_cruft_finds_its_render_up_to_date(template: Path, variant: Answers, tmp_path: Path) -> None:
    assert cruft.check(cruft.create(str(template), tmp_path, extra_context=dict(variant), default_config=True))
