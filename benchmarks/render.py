"""Time the default render of this template against the least that cookiecutter can do: one empty file, no hooks.

Both run as whole processes of the same command line, one after the other in turns, so that a slow moment of the machine
falls on both. Needs the environment of `make test`: its packages are compiled, as after any ordinary installation.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOAL = 1.5


def write_empty_template(folder: Path) -> None:
    """Write a template of one question and one empty file."""
    project = folder / "{{cookiecutter.project_slug}}"
    project.mkdir(parents=True)
    (project / "empty").touch()
    (folder / "cookiecutter.json").write_text('{"project_slug": "credit-risk"}\n', encoding="utf-8")


def seconds_to_render(template: Path, work: Path) -> float:
    """Render the template's defaults into a fresh folder under work; return the wall time of the whole process."""
    output = Path(tempfile.mkdtemp(dir=work))
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", "--default-config"]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--output-dir", str(output)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(work)},  # cookiecutter keeps every render's answers in the home folder
    )
    return time.perf_counter() - start


def main() -> None:
    """Run both templates in turns and print medians, quartiles and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20, help="renders of each template (default: %(default)s)")
    runs = parser.parse_args().runs

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_empty_template(work / "empty-template")
        templates = {"empty template": work / "empty-template", "mlops-template": ROOT}
        times: dict[str, list[float]] = {name: [] for name in templates}
        for turn in range(runs + 1):
            for name, template in templates.items():
                seconds = seconds_to_render(template, work)
                if turn:  # the first turn warms the disk cache
                    times[name].append(seconds)

    print(f"{'':16}{'median':>10}{'lower quartile':>16}{'upper quartile':>16}")
    for name, sample in times.items():
        lower, median, upper = statistics.quantiles(sample, n=4)
        print(f"{name:16}{median:>9.3f}s{lower:>15.3f}s{upper:>15.3f}s")
    empty, ours = (statistics.median(sample) for sample in times.values())
    print(f"\nratio of the medians, {runs} runs each: {ours / empty:.2f} (goal: at most {GOAL})")


if __name__ == "__main__":
    main()
