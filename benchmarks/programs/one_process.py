"""Validate, train and evaluate in one process that reads the data once, as `mlops run` does."""

from pathlib import Path

from mlops import cli
from mlops.config import load_project


def main() -> None:
    """Call what the three verbs call, in the project of the current folder."""
    project = load_project(Path())
    raw = cli._read(project, None)
    cli._validate(project, raw, scoring=False)
    cli._train(project, raw)
    cli._evaluate(project, raw, replace="")


if __name__ == "__main__":
    main()
