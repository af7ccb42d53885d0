"""The other tests of a rendered project: those of its science, and of what it asks of Azure ML."""

import pytest
from rendering import PAIRWISE, Render, RunOnce
from variants.findings import Answers

# The first two have no choice in common, so they hold every file that an option selects.
CASES = [
    pytest.param(variant, id="+".join(variant.values()), marks=pytest.mark.exhaustive if place > 1 else ())
    for place, variant in enumerate(PAIRWISE)
]


def all_but_infrastructure(path: str) -> bool:
    """Accept what these tests read."""
    return not path.startswith((".github/", "azure-pipelines/", "infra/", "README.md"))


def test_the_first_two_have_no_choice_in_common() -> None:
    assert PAIRWISE[0].items() & PAIRWISE[1].items() == set()


@pytest.mark.parametrize("variant", CASES)
def test_a_project_passes_its_other_tests(variant: Answers, render: Render, run_once: RunOnce) -> None:
    run = run_once(render(variant), all_but_infrastructure, "pytest tests --ignore tests/mlops")
    assert run.returncode == 0, run.stdout
