"""The command: python -m variants, in tests/."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rendering import ROOT, as_git_repository

from variants.engine import Outcome, check
from variants.findings import Answers, Finding, read_exceptions, smallest_condition, without_allowed
from variants.golden import read_golden, write_golden
from variants.matrix import Rendered, all_variants, memory, name_of, render_all
from variants.tools import ToolBrokeError

DATA = Path("tests", "variants")


def main() -> int:
    """Check all variants, or some; return the exit code: 0 clean, 1 findings, 2 wrong usage or a failed tool."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="variants-", dir=memory()) as folder:
        template = Path(folder, "template")
        as_git_repository(options.template, template)
        accepted, refused = all_variants(template)
        cases = [variant for variant in accepted if matches(variant, options.variant)]
        if not cases:
            names = "\n  ".join(map(name_of, accepted))
            print(f"No variant matches {options.variant}. There are:\n  {names}", file=sys.stderr)
            return 2
        if options.update_golden:
            return update_golden(template, options.template, cases, Path(folder))
        print(f"{len(accepted)} variants ({len(refused)} more are refused by pre_gen); checking {len(cases)}.")
        try:
            outcome = check(template, cases, Path(folder), read_golden(template / DATA / "golden.txt"), print)
        except ToolBrokeError as error:
            print(error, file=sys.stderr)
            return 2
        left, idle = without_allowed(outcome.shown, read_exceptions(template / DATA / "exceptions.txt"))
        whole = len(outcome.rendered) == len(accepted)  # only then are all findings known that a line may allow
        for allowed in idle if whole else ():
            words = f"allows {allowed.rule} in {allowed.pattern}, which {allowed.tool} no longer finds: remove the line"
            left[Finding("exceptions", str(DATA / "exceptions.txt"), 0, "idle", words)] = set(range(len(cases)))
        for finding, positions in sorted(left.items()):
            print(f"\n{finding}\n    in {smallest_condition(positions, cases)} ({len(positions)} of {len(cases)})")
        show_table(outcome)
        keep(outcome, sorted(set().union(*left.values())), cases, options.keep)
        print(f"\n{len(left)} findings; exceptions.txt allows {len(outcome.shown.keys() - left.keys())} more.")
        return 1 if left else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m variants", description="Render and check the template's variants.")
    parser.add_argument("--template", type=Path, default=ROOT, help="the template's folder (default: this one)")
    parser.add_argument(
        "--variant", default="", metavar="CHOICES", help="only variants with these, as ci_cd=github-actions+serving=aci"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy every variant with a finding into it")
    parser.add_argument("--update-golden", action="store_true", help="rewrite golden.txt and check nothing")
    return parser.parse_args()


def matches(variant: Answers, wanted: str) -> bool:
    """Tell whether a variant has all the choices of a text such as ``ci_cd=github-actions+serving=aci``."""
    return set(filter(None, wanted.replace(" ", "").split("+"))) <= set(name_of(variant).split("+"))


def update_golden(template: Path, source: Path, cases: Sequence[Answers], folder: Path) -> int:
    files = []
    for rendered, _ in render_all(template, cases, folder):
        if isinstance(rendered, Finding):
            print(rendered, file=sys.stderr)
            return 1
        files.append(set(rendered.files))
    write_golden(source / DATA / "golden.txt", cases, files)
    return 0


def show_table(outcome: Outcome) -> None:
    print(f"\n{'tool':20}{'judged':>8}{'findings':>10}{'seconds':>9}")
    for run in outcome.runs:
        print(f"{run.tool:20}{run.judged:8}{run.findings:10}{run.seconds:9.2f}")
    runs = [run for run in outcome.runs if run.judged]
    judged, held = sum(run.judged for run in runs), sum(run.held for run in runs)
    print(f"{len(runs)} tool runs judged {judged} files and folders; the variants hold {held}.")


def keep(outcome: Outcome, failing: Sequence[int], cases: Sequence[Answers], folder: Path | None) -> None:
    """Copy the projects with findings into a folder."""
    for position in failing if folder else ():
        project: Rendered | None = outcome.rendered.get(position)
        if project and folder:
            kept = shutil.copytree(project.folder, folder / name_of(cases[position]), dirs_exist_ok=True)
            print(f"Kept: {kept}")


if __name__ == "__main__":
    sys.exit(main())
