"""Which version a release in CI takes, and which it refuses: by the stages of all versions."""

from __future__ import annotations

from collections.abc import Sequence

import mlflow
import pytest
from conftest import Toy
from mlops.config import load_project
from mlops.errors import ReleaseError
from mlops.lifecycle import platform, require_newer, waiting
from mlops.model import tags
from mlops.model.registry import Registry, seal
from mlops.release.target import Platform

DECIDED = {tags.DECISION: "better", tags.DATA_DIGEST: "d" * 64, tags.MODEL_DIGEST: "e" * 64}


def platform_with(toy: Toy, stages: Sequence[str]) -> Platform:
    """Return a platform whose versions have these stages; `by hand` has no decision."""
    project = load_project(toy.root)
    name = Registry(project).name
    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    for stage in stages:
        decided = {**DECIDED, tags.SEAL: seal(name, DECIDED), tags.STAGE: stage}
        client.create_model_version(name, str(toy.root), tags={} if stage == "by hand" else decided)
    return platform(project)


@pytest.mark.parametrize(
    ("stages", "number"),
    [
        ([], None),
        (["registered"], 1),
        (["registered", "registered"], 2),
        (["production"], None),
        (["production", "registered"], 2),
        (["production", "registered", "by hand"], 2),
        (["production", "staging"], None),  # it waits for its approval already
        (["registered", "production"], None),  # older than what production serves
        (["production", "withdrawn"], None),
        (["retired", "production", "registered", "staging"], 3),
    ],
)
def test_the_newest_version_that_was_never_served_waits(toy: Toy, stages: list[str], number: int | None) -> None:
    found = waiting(platform_with(toy, stages))
    assert (found.number if found else None) == number


@pytest.mark.parametrize("stages", [["staging"], ["staging", "staging"], ["production", "staging"], ["production"]])
def test_a_version_that_is_not_older_than_production_s_may_go_on(toy: Toy, stages: list[str]) -> None:
    found = platform_with(toy, stages)
    require_newer(found, found.registry("staging").version(len(stages)))


def test_an_approval_that_is_out_of_date_is_refused(toy: Toy) -> None:
    """Two releases waited; the newer was approved first."""
    found = platform_with(toy, ["retired", "staging", "production"])
    with pytest.raises(ReleaseError, match="Production already serves version 3, which is newer than version 2"):
        require_newer(found, found.registry("staging").version(2))
