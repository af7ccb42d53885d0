"""The settings and rows that the tests share."""

from pathlib import Path

import pandas as pd
import pytest

import mlops.config
from {{ cookiecutter.package_name }}.data import load

MAX_ROWS = 5_000  # enough for these tests, however large the data


@pytest.fixture(scope="session")
def project() -> mlops.config.Project:
    return mlops.config.load_project(Path(__file__).parent)


@pytest.fixture(scope="session")
def rows(project: mlops.config.Project) -> pd.DataFrame:
    """Load the data; of large data, a sample."""
    loaded = load(project.data_path)
    return loaded.sample(min(len(loaded), MAX_ROWS), random_state=0).reset_index(drop=True)


@pytest.fixture(scope="session")
def inputs(project: mlops.config.Project, rows: pd.DataFrame) -> pd.DataFrame:
    """Drop the target: what the model gets to see."""
    return rows.drop(columns=[project.data.target, *project.data.ids])
