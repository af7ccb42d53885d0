"""Time a default render of this template against cookiecutter's minimum: one empty file, no hooks.

Both run as processes of the same command line, in turns, so that a slow moment affects both. Needs the environment of
`make install`, whose packages are compiled to bytecode, as after any installation.
"""

import argparse
import os
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

from measure import ROOT, Cost, in_turns, machine, median_seconds, run_process, verdict

GOAL = 1.5


def write_empty_template(folder: Path) -> None:
    """Write a template with one question and one empty file."""
    project = folder / "{{cookiecutter.project_slug}}"
    project.mkdir(parents=True)
    (project / "empty").touch()
    (folder / "cookiecutter.json").write_text('{"project_slug": "credit-risk"}\n', encoding="utf-8")


def render(template: Path, work: Path) -> Cost:
    """Render the template's defaults into a new folder in work."""
    output = tempfile.mkdtemp(dir=work)
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", "--default-config"]
    # cookiecutter saves the answers in the home folder
    return run_process([*command, "--output-dir", output], work, {**os.environ, "HOME": str(work)})


def main() -> None:
    """Time both templates in turns and print medians, quartiles and the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=20, help="renders of each, 2 or more (default: %(default)s)")
    runs = parser.parse_args().runs

    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_empty_template(work / "empty-template")
        templates = {"empty template": work / "empty-template", "mlops-template": ROOT}
        costs = in_turns({name: partial(render, template, work) for name, template in templates.items()}, runs)

    print(f"{'':16}{'median':>10}{'lower quartile':>16}{'upper quartile':>16}")
    for name, sample in costs.items():
        lower, median, upper = statistics.quantiles([cost.seconds for cost in sample], n=4)
        print(f"{name:16}{median:>9.3f}s{lower:>15.3f}s{upper:>15.3f}s")
    empty, ours = (median_seconds(sample) for sample in costs.values())
    print(f"\nratio of the medians, {runs} runs each: {ours / empty:.2f}")
    print(f"goal: at most {GOAL} times the empty template: {verdict(ours / empty <= GOAL)}")


if __name__ == "__main__":
    main()
