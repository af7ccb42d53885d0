"""Time the check of every variant against the naive loop, which gives each variant to each tool by itself.

A copy of the template gets options of its own, each choice with a document, a module, a YAML file and a Terraform
folder, until there are as many variants as the template is meant to have one day. The loop is measured on a few of them
and extrapolated. Needs the environments of `make test`.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from measure import ROOT, machine, run_process, verdict

GOAL_SECONDS = 90
GOAL_PER_VARIANT = 0.25
# Times the two choices of ci_cd: 288 variants.
OPTIONS = {"size": ["s", "m", "l"], "tier": ["a", "b", "c"], "one": ["y", "n"], "two": ["y", "n"], "three": ["y", "n"]}
OPTIONS["four"] = ["y", "n"]
FILES = {
    "README.md": "# {name}\n\nBack to [the project](../../README.md).\n",
    "settings.yml": "name: {name}\n",
    "module.py": 'NAME = "{name}"\n',
    "main.tf": 'resource "terraform_data" "{name}" {{\n  input = "{name}"\n}}\n',
}


def enlarge(template: Path) -> None:
    """Add the options to a template: to its questions, to both hooks, and as folders that a choice keeps."""
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
    """Put lines after the table that starts so, and ends with a brace in the first column."""
    text = path.read_text(encoding="utf-8")
    end = text.index("\n}\n", text.index(f"\n{start}")) + len("\n}\n")
    path.write_text(f"{text[:end]}\n{lines}\n{text[end:]}", encoding="utf-8")


def check(template: Path, variant: str = "", cold: bool = False) -> float:
    """Check a template's variants by the engine; return the seconds."""
    if cold:
        shutil.rmtree(ROOT / ".mypy_cache" / "variants", ignore_errors=True)
    command = [sys.executable, "-m", "variants", "--template", str(template), "--variant", variant]
    return run_process(command, ROOT / "tests", os.environ).seconds


def one_variant(ci_cd: str, rest: int) -> str:
    """Name one variant of the enlarged template: the choices of its own options by position."""
    own = [f"{option}={choices[rest % len(choices)]}" for option, choices in OPTIONS.items()]
    return "+".join([f"ci_cd={ci_cd}", *own])


def main() -> None:
    """Measure today's matrix and the enlarged one, and print what each variant adds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, default=4, help="variants of the naive loop (default: %(default)s)")
    sample = parser.parse_args().sample

    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder, "template")
        run_process(["git", "clone", "--quiet", str(ROOT), str(template)], ROOT, os.environ)
        today_cold, today = check(template, cold=True), check(template)
        enlarge(template)
        golden = [sys.executable, "-m", "variants", "--template", str(template), "--update-golden"]
        run_process(golden, ROOT / "tests", os.environ)
        naive = [check(template, one_variant(("github-actions", "azure-pipelines")[n % 2], n)) for n in range(sample)]
        count = 2
        for choices in OPTIONS.values():
            count *= len(choices)
        few = check(template, one_variant("github-actions", 0).partition("+")[2])
        cold, warm = check(template, cold=True), check(template)

    loop = sum(naive) / len(naive) * count
    added = (warm - few) / (count - 2)
    print(f"{'':28}{'seconds':>8}{'cold':>8}   (cold: without mypy's cache, as in CI)")
    print(f"{'the variants of today':28}{today:8.1f}{today_cold:8.1f}")
    print(f"{f'{count} variants':28}{warm:8.1f}{cold:8.1f}")
    print(
        f"{'the naive loop over them':28}{loop:8.0f}           from {sample} of them, {loop / warm:.0f} times as long"
    )
    print(f"{'each added variant':28}{added:8.2f}           two of them took {few:.1f}")
    print(f"goal: at most {GOAL_SECONDS} s for all, cold: {verdict(cold <= GOAL_SECONDS)}")
    print(f"goal: at most {GOAL_PER_VARIANT} s for each added variant: {verdict(added <= GOAL_PER_VARIANT)}")


if __name__ == "__main__":
    main()
