"""Time the check of every variant against a naive loop that runs each tool on each variant.

A copy of the template gets two more options, each choice with a document, a module, a YAML file and a Terraform folder:
nine times as many variants. The loop is measured on a few of them and extrapolated. Needs the environments of
`make test`.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from measure import ROOT, machine, run_process, verdict

sys.path.insert(0, str(ROOT / "tests"))
from variants.matrix import all_variants, name_of

GOAL_SECONDS = 90
GOAL_PER_VARIANT = 0.25
# Multiply the variants by nine.
OPTIONS = {"size": ["s", "m", "l"], "tier": ["a", "b", "c"]}
FILES = {
    "README.md": "# {name}\n\nBack to [the project](../../README.md).\n",
    "settings.yml": "name: {name}\n",
    "module.py": 'NAME = "{name}"\n',
    "main.tf": 'resource "terraform_data" "{name}" {{\n  input = "{name}"\n}}\n',
}


def enlarge(template: Path) -> None:
    """Add the options to a template's questions and hooks, with a folder for each choice."""
    questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    questions["_copy_without_render"].append("extra")
    kept = {}
    for option, choices in OPTIONS.items():
        questions[option] = choices
        kept[option] = {choice: (f"extra/{option}-{choice}",) for choice in choices}
        for choice in choices:
            folder = template / "{{cookiecutter.project_slug}}" / "extra" / f"{option}-{choice}"
            folder.mkdir(parents=True)
            for name, content in FILES.items():
                (folder / name).write_text(content.format(name=f"{option}_{choice}"), encoding="utf-8")
    (template / "cookiecutter.json").write_text(json.dumps(questions), encoding="utf-8")
    add_lines(template / "hooks" / "pre_gen_project.py", "CHOICES: ", f"CHOICES.update({OPTIONS!r})")
    add_lines(template / "hooks" / "post_gen_project.py", "KEPT_BY: ", f"KEPT_BY.update({kept!r})")


def add_lines(path: Path, start: str, lines: str) -> None:
    """Insert lines after a table that begins with `start` and ends with a brace in the first column."""
    text = path.read_text(encoding="utf-8")
    end = text.index("\n}\n", text.index(f"\n{start}")) + len("\n}\n")
    path.write_text(f"{text[:end]}\n{lines}\n{text[end:]}", encoding="utf-8")


def check(template: Path, variant: str = "", cold: bool = False) -> float:
    """Check a template's variants, all or those with some choices; return the seconds."""
    if cold:
        shutil.rmtree(ROOT / ".mypy_cache" / "variants", ignore_errors=True)
    command = [sys.executable, "-m", "variants", "--template", str(template), "--variant", variant]
    return run_process(command, ROOT / "tests", os.environ).seconds


def main() -> None:
    """Measure the current and the enlarged matrix, and print the cost of an added variant."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, default=4, help="variants of the naive loop (default: %(default)s)")
    size = parser.parse_args().sample

    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder, "template")
        run_process(["git", "clone", "--quiet", str(ROOT), str(template)], ROOT, os.environ)
        few, _ = all_variants(template)
        few_cold, few_warm = check(template, cold=True), check(template)
        enlarge(template)
        golden = [sys.executable, "-m", "variants", "--template", str(template), "--update-golden"]
        run_process(golden, ROOT / "tests", os.environ)
        many, _ = all_variants(template)
        sample = many[:: len(many) // size][:size]
        naive = [check(template, name_of(variant)) for variant in sample]
        many_cold, many_warm = check(template, cold=True), check(template)

    loop = sum(naive) / len(naive) * len(many)
    added = (many_warm - few_warm) / (len(many) - len(few))
    print(f"{'':28}{'seconds':>8}{'cold':>8}   (cold: without mypy's cache, as in CI)")
    print(f"{f'the {len(few)} variants of today':28}{few_warm:8.1f}{few_cold:8.1f}")
    print(f"{f'{len(many)} variants':28}{many_warm:8.1f}{many_cold:8.1f}")
    print(f"{'the naive loop over them':28}{loop:8.0f}{'':11}from {len(sample)}, {loop / many_warm:.0f} times as long")
    print(f"{'each added variant':28}{added:8.2f}")
    print(f"goal: at most {GOAL_SECONDS} s for all of today, cold: {verdict(few_cold <= GOAL_SECONDS)}")
    print(f"goal: at most {GOAL_PER_VARIANT} s for each added variant: {verdict(added <= GOAL_PER_VARIANT)}")


if __name__ == "__main__":
    main()
