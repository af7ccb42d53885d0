"""Time `mlops --help` against `python -c pass`: what the command line adds to Python's startup.

Both run as processes of the same Python, in turns. Needs the environments of `make install`.
"""

import argparse
import statistics

from measure import in_turns, machine, median_seconds, rendered_project, verdict

GOAL = 0.25  # seconds, which still feels instant


def main() -> None:
    """Time both in turns and print medians, quartiles and the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=20, help="runs of each, 2 or more (default: %(default)s)")
    runs = parser.parse_args().runs

    print(machine())
    with rendered_project() as project:
        cases = {
            "python -c pass": lambda: project.run("-c", "pass"),
            "mlops --help": lambda: project.run("-m", "mlops", "--help"),
        }
        costs = in_turns(cases, runs)

    print(f"{'':16}{'median':>10}{'lower quartile':>16}{'upper quartile':>16}")
    for name, sample in costs.items():
        lower, median, upper = statistics.quantiles([cost.seconds for cost in sample], n=4)
        print(f"{name:16}{median:>9.3f}s{lower:>15.3f}s{upper:>15.3f}s")
    peer, ours = (median_seconds(sample) for sample in costs.values())
    print(f"\nratio of the medians, {runs} runs each: {ours / peer:.2f}")
    print(f"goal: help within {GOAL} s: {verdict(ours <= GOAL)}")


if __name__ == "__main__":
    main()
