"""Where the rows come from."""

from pathlib import Path

import pandas as pd


def load(source: Path) -> pd.DataFrame:
    """Read the raw rows, target included, one row per example.

    Parameters
    ----------
    source : Path
        ``data.path`` of project.yml, or what is given with ``--data``: a CSV file, or a folder of
        them.

    Returns
    -------
    DataFrame
        Columns named as in the expectations; missing values as NaN. Only an empty cell is missing:
        None, NA and n/a are words, as they are when a server gets them.
    """
    files = sorted(source.rglob("*.csv")) if source.is_dir() else [source]
    parts = [
        pd.read_csv(file, keep_default_na=False, na_values=[""], low_memory=False) for file in files
    ]
    return pd.concat(parts, ignore_index=True)
