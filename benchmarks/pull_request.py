"""Time a push to a pull request until its report, and the same for the checks of an earlier version.

act runs the workflows on this machine, in turns, each from a fresh clone and without mypy's cache, as on a runner. The
environment counts as restored: what a runner needs to start, to check out and to restore it is not in the figures.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from measure import ROOT, Cost, in_turns, machine, verdict

sys.path.insert(0, str(ROOT / "tests"))

from doubles.github import running_github
from doubles.terraform.client import running_terraform, types_in
from rendering import run_cookiecutter
from workflows.repository import Repository
from workflows.terraform import pin_terraform

GOAL = 180
NEW, OLD = "pull-request.yml", "one-job.yml"


def run(repository: Repository, workflow: str) -> Cost:
    """Open a pull request and run a workflow for it; exit with its log if it fails."""
    event = repository.pull_request(lambda work: (work / "notes.md").write_text(f"# {time.time()}\n"))
    began = time.monotonic()
    done = repository.run(workflow, event)
    seconds = time.monotonic() - began
    if done.code:
        sys.exit(done.log)
    return Cost(seconds, 0)


def main() -> None:
    """Run both in turns and print the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="runs of each, 2 or more (default: %(default)s)")
    runs = parser.parse_args().runs
    python = Path(os.environ.get("PROJECT_PYTHON", ROOT / ".venv-project" / "bin" / "python"))

    print(machine())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        github = stack.enter_context(running_github(folder))
        types = types_in([ROOT / "{{cookiecutter.project_slug}}" / "infra"])
        terraform = stack.enter_context(running_terraform(types))
        run_cookiecutter(ROOT, folder, "--no-input").check_returncode()
        repository = Repository(folder / "github", github, python)
        repository.push(folder / "out" / "credit-risk")
        program = pin_terraform(repository.work, terraform, folder / "pinned")
        network = {name: value for name, value in program.items() if name != "TF_DATA_DIR"}
        repository.network = {**network, "MYPY_CACHE_DIR": os.devnull}
        old = (ROOT / "benchmarks" / "programs" / "one_job.yml").read_text(encoding="utf-8")
        (repository.work / ".github" / "workflows" / OLD).write_text(old, encoding="utf-8")
        repository.commit()
        costs = in_turns({name: partial(run, repository, name) for name in (NEW, OLD)}, runs)

    medians = {name: statistics.median(cost.seconds for cost in sample) for name, sample in costs.items()}
    for name, seconds in medians.items():
        print(f"{name:18}{seconds:>8.1f} s")
    print(f"\nratio of the medians, {runs} runs each: {medians[NEW] / medians[OLD]:.2f}")
    print(f"goal: the report within {GOAL} s: {verdict(medians[NEW] <= GOAL)}")


if __name__ == "__main__":
    main()
