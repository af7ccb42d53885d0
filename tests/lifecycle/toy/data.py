"""Reads the rows that conftest.py makes."""

from pathlib import Path

import pandas as pd


def load(source: Path) -> pd.DataFrame:
    """Read the raw rows, target included."""
    return pd.read_csv(source, keep_default_na=False, na_values=[""], low_memory=False)
