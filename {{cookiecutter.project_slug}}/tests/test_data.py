"""Tests of load(): its rows fit project.yml and expectations/."""

import json

import pandas as pd
import pytest

from mlops.config import Project


@pytest.mark.parametrize("suite", ["raw", "scoring"])
def test_rows_have_every_column_that_the_expectations_name(
    project: Project, rows: pd.DataFrame, suite: str
) -> None:
    text = (project.root / "expectations" / f"{suite}.json").read_text("utf-8")
    named: set[str] = set()
    for expectation in json.loads(text)["expectations"]:
        kwargs = expectation["kwargs"]
        named |= {kwargs["column"]} if "column" in kwargs else set()
        named |= {*kwargs.get("column_set", ()), *kwargs.get("column_list", ())}
    assert named
    assert named <= set(rows)


def test_target_has_the_classes_that_project_yml_expects(
    project: Project, rows: pd.DataFrame
) -> None:
    target = rows[project.data.target]
    assert target.notna().all()
    if project.data.positive is None:
        assert target.nunique() > 2
    else:
        assert target.nunique() == 2
        assert project.data.positive in set(target)


def test_missing_values_are_read_as_missing(rows: pd.DataFrame) -> None:
    for column in rows.select_dtypes("object"):
        placeholders = {"", "?", "nan", "NaN", "NULL", "null"} & set(rows[column])
        assert not placeholders, column
