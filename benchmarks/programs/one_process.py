"""Validate, train and evaluate in one process that reads the data once, as `mlops run` does."""

import atexit
import gc
from pathlib import Path

from mlops import lifecycle


def main() -> None:
    """Run the first three steps of `mlops run` on the project in the current folder."""
    gc.set_threshold(100_000, 20, 100)  # as mlops/cli.py does
    atexit.register(gc.freeze)
    project = lifecycle.load_project(Path.cwd())
    rows = lifecycle.read(project)
    validation = lifecycle.validate(project, rows)
    lifecycle.require_passed(project, validation)
    dataset = lifecycle.split(project, rows)
    training = lifecycle.train(project, dataset, validation)
    lifecycle.evaluate(project, dataset, training)


if __name__ == "__main__":
    main()
