"""Validate, train and evaluate in one process that reads the data once, as `mlops run` does."""

from typing import Any

import click
from mlops import cli


@cli.main.command()
@click.pass_obj
def validate_train_evaluate(obj: dict[str, Any]) -> None:
    """The first three steps of `mlops run`."""
    project = cli._project(obj)
    raw = cli._read(project, None)
    cli._validate(project, raw, scoring=False)
    dataset = cli._split(project, raw)
    cli._train(project, raw, dataset)
    cli._evaluate(project, raw, dataset, replace="")


if __name__ == "__main__":
    cli.main(["validate-train-evaluate"])
