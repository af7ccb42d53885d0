"""The whole lifecycle of a few variants, served and stopped."""

from pathlib import Path

from rendering import RunOnce
from test_project_lifecycle import OPTIONAL


def of_a_laptop(path: str) -> bool:
    """Accept what is at work without Azure, which no option but `serving` changes, in project.yml."""
    needed = ("src/", "data/", "expectations/", "project.yml", "requirements.txt", "docs/model-card.md")
    return path.startswith(needed) and not path.startswith(OPTIONAL)


def test_every_pair_of_choices_lives_its_whole_life(project: Path, run_once: RunOnce) -> None:
    for command in ("mlops run", "mlops release --yes", "mlops status", "mlops stop"):
        run = run_once(project, of_a_laptop, command)
        assert run.returncode == 0, run.stdout
