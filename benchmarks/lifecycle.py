"""Time validate, train and evaluate against a bare script that reads, fits and scores once.

The rows are drawn from the sample with jitter, and have 15 columns. Three variants run in turns, as separate processes:

- the bare script: pandas.read_csv, the project's features, the same classifier and parameters, fitted on 75 % of the
  rows and scored once by average precision on the rest; nothing is checked or saved (programs/bare_script.py);
- validate, train and evaluate in one process that reads the data once, like `mlops run` (programs/one_process.py):
  41 expectations, threshold by cross-validation, model and run logged to MLflow, all metrics, slices, the gate;
- the three commands, one after the other, like the steps of a pipeline.

Every measured run starts with an empty MLflow store, so nothing is reused. Memory is the largest resident set of any
process. Needs the environments of `make test`.
"""

import argparse
import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measure import (
    Cost,
    Project,
    in_turns,
    machine,
    median_megabytes,
    median_seconds,
    rendered_project,
    verdict,
)

GOAL_SECONDS = {10_000: 3.0, 1_000_000: 1.4}  # by number of rows, in times of the bare script
GOAL_MEGABYTES = 2.0
GOAL_ROWS = 1_000_000
PROGRAMS = Path(__file__).parent / "programs"
STATE = ("outputs", "mlruns", "mlflow.db")
BARE, TOGETHER, COMMANDS = "bare script", "validate + train + evaluate", "the same as three commands"


def widen(project: Project) -> None:
    """Add the extra column to the project's expectations."""
    for name in ("raw", "scoring"):
        file = project.folder / "expectations" / f"{name}.json"
        suite = json.loads(file.read_text(encoding="utf-8"))
        suite["expectations"][0]["kwargs"]["column_set"].append("extra")
        suite["expectations"] += [
            expect("in_type_list", type_list=["int64", "float64"]),
            expect("between", min_value=-10, max_value=10),
            expect("not_be_null"),
        ]
        file.write_text(json.dumps(suite), encoding="utf-8")


def expect(what: str, **limits: Any) -> dict[str, Any]:
    """Return an expectation for the extra column."""
    verb = "" if what.startswith("not_") else "be_"
    return {"type": f"expect_column_values_to_{verb}{what}", "kwargs": {"column": "extra", **limits}}


@contextlib.contextmanager
def prepared(rows: int) -> Iterator[tuple[Project, Path]]:
    """Render a project with a number of rows; also yield a folder with its state before the first training."""
    with rendered_project() as project:
        data = project.folder / project.settings["data"]["path"]
        sample = data.rename(data.with_name("sample.csv"))
        project.run(str(PROGRAMS / "make_rows.py"), str(sample), str(rows), str(data))
        widen(project)
        project.run("-m", "mlops", "status")  # creates the MLflow store
        before = project.folder / "before"
        before.mkdir()
        restore(project.folder, before)
        yield project, before


def restore(source: Path, target: Path) -> None:
    """Replace the lifecycle's files in one folder with those of another."""
    for name in STATE:
        old, new = target / name, source / name
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
        if new.is_dir():
            shutil.copytree(new, old)
        elif new.exists():
            shutil.copy2(new, old)


def cases(project: Project, before: Path) -> dict[str, Callable[[], Cost]]:
    """Return the three variants, each with the same initial state."""
    settings = project.settings
    data, model = settings["data"], settings["model"]
    if model["estimator"] != "hist_gradient_boosting":
        raise SystemExit(f"programs/bare_script.py does not support {model['estimator']}: update it.")
    script = [str(PROGRAMS / "bare_script.py"), settings["package"], data["path"], data["target"], data["positive"]]
    script += [str(settings["split"]["holdout"]), json.dumps(model["params"])]

    def together() -> Cost:
        restore(before, project.folder)
        return project.run(str(PROGRAMS / "one_process.py"))

    def commands() -> Cost:
        restore(before, project.folder)
        validate, train, evaluate = (project.run("-m", "mlops", verb) for verb in ("validate", "train", "evaluate"))
        return validate + train + evaluate

    return {BARE: lambda: project.run(*script), TOGETHER: together, COMMANDS: commands}


def measure(rows: int, runs: int) -> tuple[float, float]:
    """Run the variants, print medians, and return the ratios of the second to the first in time and memory."""
    with prepared(rows) as (project, before):
        costs = in_turns(cases(project, before), runs, unmeasured=int(rows < GOAL_ROWS))
    seconds, megabytes = median_seconds(costs[BARE]), median_megabytes(costs[BARE])
    for name, sample in costs.items():
        times, memory = median_seconds(sample), median_megabytes(sample)
        print(f"{rows:>9,}  {name:28}{times:>8.2f} s{times / seconds:>7.2f}{memory:>9.0f} MB{memory / megabytes:>7.2f}")
    ours = costs[TOGETHER]
    return median_seconds(ours) / seconds, median_megabytes(ours) / megabytes


def main() -> None:
    """Measure each number of rows, and check the goals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    sizes = [10_000, 100_000, GOAL_ROWS]
    parser.add_argument("--rows", type=int, nargs="+", default=sizes, help="numbers of rows (default: 10k, 100k, 1M)")
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each variant (default: %(default)s)")
    options = parser.parse_args()

    print(machine())
    print(f"{'rows':>9}  {'':28}{'median':>10}{'ratio':>7}{'peak':>12}{'ratio':>7}")
    for rows in options.rows:
        slower, larger = measure(rows, options.runs)
        if rows in GOAL_SECONDS:
            goal = GOAL_SECONDS[rows]
            print(f"           goal: at most {goal} times the time: {slower:.2f}, {verdict(slower <= goal)}")
        if rows == GOAL_ROWS:
            memory = verdict(larger <= GOAL_MEGABYTES)
            print(f"           goal: at most {GOAL_MEGABYTES} times the peak memory: {larger:.2f}, {memory}")


if __name__ == "__main__":
    main()
