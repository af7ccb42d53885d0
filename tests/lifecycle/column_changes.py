"""Changes of the sample's columns that leave its rows in their places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd


def _numbers(rows: pd.DataFrame) -> list[str]:
    return list(rows.select_dtypes("number"))


def add(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    place = int(rng.integers(len(rows.columns)))
    added = rows.copy()
    added.insert(place, f"new{place}", rng.normal(size=len(rows)))
    return added


def drop(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    needed = ("status", "home", "records", "age")  # the target, and the slices
    return rows.drop(columns=[rng.choice([c for c in rows if c not in needed])])


def reorder(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return rows[list(rng.permutation(list(rows)))]


def recode(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    name = rng.choice([c for c in rows.select_dtypes("object") if c != "status"])
    return rows.assign(**{name: rows[name].str.upper()})


def rescale(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    name = rng.choice(_numbers(rows))
    return rows.assign(**{name: rows[name] * 1000 + 1})


def retype(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    name = rng.choice(_numbers(rows))
    kind = rng.choice(["float32", "float64", "Float64"])
    return rows.assign(**{name: rows[name].astype(kind)})


CHANGES: tuple[Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame], ...] = (
    add,
    drop,
    reorder,
    recode,
    rescale,
    retype,
)
