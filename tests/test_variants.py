"""What is rendered: the exact files of every variant, free of leftovers, and the same each time."""

import re
from fnmatch import fnmatch
from pathlib import Path

import cruft
import post_gen_project as hook
import pytest
from rendering import (
    CONTEXT,
    OPTIONS,
    QUESTIONS,
    ROOT,
    VARIANTS,
    Answers,
    Render,
    read_files,
    run_cookiecutter,
)

GOLDEN = ROOT / "tests" / "golden"
TEMPLATE_FOLDER = "{{cookiecutter.project_slug}}"


def golden_lists(files_of: dict[tuple[str, ...], set[str]]) -> dict[str, set[str]]:
    """Split the files of all variants into those of every project and those that come with one choice."""
    base = set.intersection(*files_of.values())
    lists = {"base": base}
    for position, (option, choices) in enumerate(OPTIONS.items()):
        for choice in choices:
            chosen = [files for variant, files in files_of.items() if variant[position] == choice]
            lists[f"{option}={choice}"] = set.intersection(*chosen) - base
    return lists


def test_every_variant_has_exactly_its_files(render: Render, pytestconfig: pytest.Config) -> None:
    files_of = {tuple(variant.values()): set(read_files(render(variant))) for variant in VARIANTS}
    if pytestconfig.getoption("--update-golden"):
        for name, paths in golden_lists(files_of).items():
            (GOLDEN / f"{name}.txt").write_text("".join(f"{path}\n" for path in sorted(paths)), encoding="utf-8")

    for variant, files in files_of.items():
        names = ["base", *(f"{option}={choice}" for option, choice in zip(OPTIONS, variant, strict=True))]
        expected = {path for name in names for path in (GOLDEN / f"{name}.txt").read_text(encoding="utf-8").split("\n")}
        missing, unexpected = sorted(expected - files - {""}), sorted(files - expected)
        assert (missing, unexpected) == ([], []), (
            f"\n{' + '.join(variant)}\n  missing:    {missing}\n  unexpected: {unexpected}\n"
            "If this is what the change is meant to do, run `make golden` and commit the lists."
        )


def test_the_golden_lists_are_those_of_the_options() -> None:
    names = {f"{option}={choice}" for option, choices in OPTIONS.items() for choice in choices}
    assert {path.stem for path in GOLDEN.iterdir()} == {"base", *names}


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


@pytest.mark.parametrize("question", list(QUESTIONS))
def test_every_question_changes_the_project(question: str, render: Render) -> None:
    """Answered one by one, the derived answers held at their defaults."""
    held = {"project_slug": "credit-risk", "description": "Classify.", "repository": "o/r", "azure_prefix": "x"}
    held["package_name"] = "credit_risk"
    assert read_files(render(held)) != read_files(render({**held, question: CHANGED[question]}))


def test_nothing_of_the_template_is_left(project: Path) -> None:
    """Verbatim Jinja templates may keep their own tags, which never speak of cookiecutter."""
    for path, content in read_files(project).items():
        text = content.decode()
        assert "cookiecutter" not in path
        assert not re.search(r"\{\{-?\s*cookiecutter\b", text), path
        if not path.startswith("src/mlops/"):
            assert "{%" not in text, path


def test_verbatim_files_are_copied_to_the_byte(template: Path, project: Path) -> None:
    sources = read_files(template / TEMPLATE_FOLDER)
    patterns = [pattern for entry in CONTEXT["_copy_without_render"] for pattern in (entry, f"{entry}/*")]
    verbatim = [path for path in read_files(project) if any(fnmatch(path, pattern) for pattern in patterns)]
    assert {path.split("/")[0] for path in verbatim} >= {"src", "data", "expectations", "docs", "requirements.txt"}
    for path in verbatim:
        assert (project / path).read_bytes() == sources[path], path


def test_only_the_seam_is_rendered(template: Path) -> None:
    """The files with Jinja are few, and adding one is a decision: elsewhere `${{ }}` needs no escaping."""
    patterns = [pattern for entry in CONTEXT["_copy_without_render"] for pattern in (entry, f"{entry}/*")]
    sources = read_files(template / TEMPLATE_FOLDER)
    rendered = {path for path in sources if not any(fnmatch(path, pattern) for pattern in patterns)}
    assert {path.rpartition("/")[0] for path in rendered} <= {"", "src/{{cookiecutter.package_name}}", "tests"}
    assert {path for path in rendered if "/" not in path} == {"README.md", "project.yml", "pyproject.toml"}


def test_text_files_are_tidy(project: Path) -> None:
    for path, content in read_files(project).items():
        assert b"\r" not in content, path
        assert b"\t" not in content, path
        assert not content or content.endswith(b"\n"), path
        assert not content.endswith(b"\n\n"), path
        assert not re.search(rb"[ \t]\n", content), path


def test_a_second_render_in_another_process_is_the_same(
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


def test_cruft_renders_the_same(template: Path, project: Path, variant: Answers, tmp_path: Path) -> None:
    created = cruft.create(str(template), tmp_path, extra_context=dict(variant), default_config=True)
    assert set(files := read_files(created)) - set(read_files(project)) == {".cruft.json"}
    assert {path: content for path, content in files.items() if path != ".cruft.json"} == read_files(project)
    assert cruft.check(created)


@pytest.mark.parametrize(
    ("windows", "commands"),
    [
        (
            False,
            [
                "python3 -m venv .venv",
                ".venv/bin/python -m pip install -r requirements.txt -e .",
                ".venv/bin/mlops run",
            ],
        ),
        (
            True,
            [
                "python -m venv .venv",
                r".venv\Scripts\python -m pip install -r requirements.txt -e .",
                r".venv\Scripts\mlops run",
            ],
        ),
    ],
)
def test_the_next_steps_are_those_of_the_system(windows: bool, commands: list[str]) -> None:
    lines = [line.strip() for line in hook.next_steps("credit-risk", windows=windows).splitlines()]
    assert [line for line in lines if line][1:] == ["cd credit-risk", *commands]
