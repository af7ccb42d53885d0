"""A row survives the trip: training frame, stored example, request, server, prediction."""

from __future__ import annotations

import datetime
import json
import os
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import EXAMPLES, Toy, make_toy
from hypothesis import given, settings
from hypothesis import strategies as st
from mlops import lifecycle
from mlops.config import Model, Project, load_project
from mlops.data.dataset import RawData, split_rows
from mlops.data.rows import Column, describe, find_problems, read, serve, write
from mlops.errors import ConfigError, DataError
from mlops.model.loading import model_digest, trust
from mlops.model.saving import choose_examples, save_model
from mlops.model.training import fit
from mlops.release.smoke import make_smoke_requests
from mlops.science import Science
from mlops.serving.score import Scorer
from sklearn.base import ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

ROWS = 60
MISSING = (None, np.nan, pd.NA, pd.NaT)
NUMBERS = ("int64", "int8", "uint16", "float64", "float32", "Int64", "Float64", "object")
TEXTS = ("object", "string", "category")
BOOLEANS = ("bool", "boolean", "object")
DATES = ("datetime64[ns]", "datetime64[s]", "datetime64[us]", "datetime64[ns, Asia/Tokyo]", "object")
WORDS = ["a", "b", "None", "NA", "nan", "", " ", "null", "é \U0001f600", "1", "true", "\ud800"]


@st.composite
def series(draw: st.DrawFn, rows: int = ROWS) -> pd.Series:
    """Draw a column of one kind, in one of the types that hold it, with one kind of missing value."""
    kind = draw(st.sampled_from(["number", "text", "boolean", "date", "empty", "constant"]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    lacks = rng.random(rows) < draw(st.sampled_from([0.0, 0.02, 0.3, 0.97]))
    if kind == "empty":
        gap, dtype = draw(st.sampled_from([*((gap, "object") for gap in MISSING), (np.nan, "float64")]))
        return pd.Series([gap] * rows, dtype=dtype)
    if kind == "number":
        dtype = draw(st.sampled_from(NUMBERS))
        fractions = dtype in ("float64", "float32", "Float64")
        values = list(rng.normal(scale=1e3, size=rows).tolist() if fractions else rng.integers(0, 100, rows).tolist())
    elif kind == "boolean":
        dtype, values = draw(st.sampled_from(BOOLEANS)), (rng.random(rows) < 0.5).tolist()
    elif kind == "date":
        dtype = draw(st.sampled_from(DATES))
        values = (pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 5000, rows), "h")).to_list()
    else:
        dtype = draw(st.sampled_from(TEXTS))
        words = WORDS if kind == "text" else WORDS[:1]
        values = rng.choice(words, rows).tolist()
    if lacks.any() and dtype not in ("int64", "int8", "uint16", "bool"):
        gap = pd.NaT if kind == "date" else draw(st.sampled_from(MISSING[:3] if dtype != "float32" else MISSING[1:2]))
        gap = np.nan if dtype == "float64" else gap
        values = [gap if gone else value for value, gone in zip(values, lacks, strict=True)]
    if kind == "date" and dtype != "object":
        return pd.to_datetime(pd.Series(values)).dt.tz_localize("UTC" if "Tokyo" in dtype else None).astype(dtype)
    return pd.Series(values, dtype="object").astype(dtype)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a table of a few columns, with odd names."""
    names = ["a", "b c", "x.y", "[z]", "ü", "None"]
    drawn = [draw(series()) for _ in range(draw(st.integers(1, 4)))]
    return pd.DataFrame(dict(zip(names, drawn, strict=False)))


@given(tables())
def test_a_served_row_is_the_same_after_a_request(table: pd.DataFrame) -> None:
    served = serve(table)
    columns = describe(served)
    body = json.dumps({"input_data": write(served)}, allow_nan=False)
    records = json.loads(body)["input_data"]
    assert list(find_problems(columns, records)) == []
    pd.testing.assert_frame_equal(read(columns, records), served, check_exact=True)


@given(tables())
def test_serving_twice_changes_nothing_and_loses_no_value(table: pd.DataFrame) -> None:
    served = serve(table)
    pd.testing.assert_frame_equal(serve(served), served)
    assert served.isna().to_numpy().tolist() == table.isna().to_numpy().tolist()
    for name in table:
        for was, now in zip(table[name], served[name], strict=True):
            if not pd.isna(was):
                now = now.tz_localize("UTC").tz_convert("Asia/Tokyo") if getattr(was, "tzinfo", None) else now
                assert now == was


@given(tables(), st.integers(0, 99))
def test_examples_hold_a_missing_value_and_the_extremes_of_each_column(table: pd.DataFrame, seed: int) -> None:
    served = serve(table)
    examples = choose_examples(served, seed)
    for name in served:
        assert examples[name].isna().any() == served[name].isna().any()
        if served[name].dtype != object and served[name].notna().any():
            assert (examples[name].min(), examples[name].max()) == (served[name].min(), served[name].max())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["a", 1] * 30, "str ('a' in row 1), int ('1' in row 2)"),
        ([True, "no"] * 30, "bool ('True' in row 1), str ('no' in row 2)"),
        ([[1], [2]] * 30, "list ('[1]' in row 1)"),
        ([{"a": 1}] * 60, "dict"),
        ([b"x"] * 60, "bytes"),
        ([None] * 50 + [1 + 2j] * 10, "complex"),
        ([1.0, float("inf")] * 30, "is not finite, first in row 2: inf"),
        ([1, 2**60] * 30, "has a whole number beyond ±9,007,199,254,740,991, first in row 2"),
        (pd.Series([1, 2] * 30, dtype="category"), "is categorical, but its categories are not text"),
        ([1, 2**53 + 1] * 30, "has a whole number beyond ±9,007,199,254,740,991, first in row 2"),
        (pd.Series([None, *[10**400] * 59], dtype=object), "is not finite, first in row 2: inf"),
        ([True, 1] * 30, "bool ('True' in row 1), int ('1' in row 2)"),
        ([1.0, False] * 30, "float ('1.0' in row 1), bool ('False' in row 2)"),
        (pd.Series([[1]] * 60, dtype=pd.ArrowDtype(pa.list_(pa.int32()))), "The column 'odd'"),
        ([datetime.datetime(1200, 1, 1)] * 60, "a date before 1678"),
        ([datetime.date(2024, 1, 1), "x"] * 30, "date ('2024-01-01' in row 1), str"),
        (pd.Series(pd.to_timedelta(range(60), "h")), "The column 'odd'"),
        (pd.Series(pd.period_range("2024", periods=60, freq="D")), "The column 'odd'"),
        (pd.Series(pd.interval_range(0, 60)), "The column 'odd'"),
    ],
)
def test_what_a_request_cannot_carry_is_refused_by_name(values: Any, said: str) -> None:
    with pytest.raises(DataError) as caught:
        serve(pd.DataFrame({"fine": range(60), "odd": values}))
    assert "The column 'odd'" in str(caught.value)
    assert said in str(caught.value)
    assert caught.value.fix


def test_decimals_dates_and_numbers_as_objects_are_numbers_and_dates() -> None:
    served = serve(
        pd.DataFrame(
            {
                "money": [Decimal("1.5"), None],
                "day": [datetime.date(2024, 1, 31), None],
                "whole": pd.Series([3, None], dtype=object),
            }
        )
    )
    assert served.dtypes.astype(str).tolist() == ["float64", "datetime64[ns]", "float64"]
    assert write(served)[0] == {"money": 1.5, "day": "2024-01-31T00:00:00", "whole": 3.0}


def test_booleans_of_numpy_are_booleans() -> None:
    flags = pd.Series([np.bool_(True), None, np.bool_(False)], dtype=object)
    assert json.dumps(write(serve(flags.to_frame("f")))) == '[{"f": true}, {"f": null}, {"f": false}]'


def test_examples_of_many_columns_stay_few() -> None:
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(2000, 300))).rename(columns=str)
    wide.iloc[7, 5] = wide.iloc[7, 6] = wide.iloc[9, 8] = np.nan
    examples = choose_examples(wide, 0)
    assert len(examples) == 50
    assert (examples.isna().any() == wide.isna().any()).all()


def select_features(frame: pd.DataFrame) -> ColumnTransformer:
    """An unfitted transformer like a project's: numbers are imputed, everything else is one-hot encoded."""
    numbers = list(frame.select_dtypes("number"))
    others = [column for column in frame if column not in numbers]
    return ColumnTransformer(
        [
            ("numbers", SimpleImputer(keep_empty_features=True), numbers),
            ("others", OneHotEncoder(handle_unknown="ignore", sparse_output=False), others),
        ]
    )


def logistic(settings: Model, seed: int) -> ClassifierMixin:
    return LogisticRegression(max_iter=50)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    toy = make_toy(tmp_path_factory.mktemp("rows"))
    toy.set(gate={"slices": []})
    return lifecycle.load_project(toy.root)


@settings(max_examples=EXAMPLES if EXAMPLES < 500 else 2000)
@given(tables(), st.integers(0, 99))
def test_what_trains_is_served_with_the_same_answers(project: Project, table: pd.DataFrame, seed: int) -> None:
    """By the very class that servers use, from the folder that is registered."""
    rng = np.random.default_rng(seed)
    table = table.assign(row=rng.normal(size=ROWS), outcome=np.where(rng.random(ROWS) < 0.5, "yes", "no"))
    dataset = split_rows(RawData(table, "digest", Path("rows.csv")), project)
    try:
        model, _ = fit(dataset, project, Science(lambda path: table, select_features, logistic))
    except ConfigError as refused:  # the encoder takes no missing dates
        dates = [name for name in dataset.features.select_dtypes("datetime") if table[name].isna().any()]
        assert dates
        assert all(name in refused.fix for name in dates)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "toy" / "1"
        save_model(model, dataset, project, home)
        trusted = trust(project, model_digest(home))
        scorer = Scorer(home, trusted)
        for request in make_smoke_requests(home, trusted):
            answers = scorer.answer(request.body)["predictions"]
            assert [answer["label"] for answer in answers] == list(request.labels)
            for answer, shares in zip(answers, request.probabilities, strict=True):
                assert answer["probabilities"] == pytest.approx(shares, abs=1e-9)
        trained = model.predict_proba(dataset.features[~dataset.holdout])
        body = json.dumps({"input_data": write(dataset.features[~dataset.holdout])})
        found = [list(answer["probabilities"].values()) for answer in scorer.answer(body.encode())["predictions"]]
        assert np.allclose(found, trained, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "values", "valid"),
    [
        ("double", [True, 2, "3", "x", None], [False, True, True, False, False]),
        ("double", [True, False], [False, False]),
        (
            "datetime",
            ["2026-01-31", 20260131, 1.5e9, datetime.date(2026, 1, 31), None],
            [True, False, False, True, False],
        ),
        ("datetime", [20260131, 20260201], [False, False]),
        ("boolean", ["true", "False", "TRUE", "yes", True, None], [True, True, True, False, True, False]),
        ("string", ["a", 1, True, None, ""], [True, False, False, False, True]),
    ],
)
def test_a_value_of_another_kind_in_a_file_is_no_value(kind: str, values: list[Any], valid: list[bool]) -> None:
    """As in a request, a number is no date, and true is no number."""
    column = pd.Series(values, dtype=object)
    for form in (column, column.infer_objects(), column.convert_dtypes()):
        assert Column("a", kind, required=False).convert(form).notna().tolist() == valid


def centre(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=0)


def need_two(values: np.ndarray) -> np.ndarray:
    if len(values) < 2:
        raise IndexError("one row has no neighbours")
    return values


@pytest.mark.parametrize(
    ("step", "said"),
    [(centre, "differently when it comes without other rows"), (need_two, "IndexError: one row has no neighbours")],
)
def test_a_model_that_cannot_score_a_row_alone_is_refused_before_it_is_logged(
    project: Project, tmp_path: Path, step: Any, said: str
) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=200), "outcome": np.where(rng.random(200) < 0.5, "yes", "no")})
    pickled = project.model.model_copy(update={"serialization": "cloudpickle"})
    project = project.model_copy(update={"model": pickled})
    dataset = split_rows(RawData(table, "digest", Path("rows.csv")), project)
    steps = Science(lambda path: table, lambda frame: FunctionTransformer(step), logistic)
    model, _ = fit(dataset, project, steps)
    with pytest.raises(ConfigError, match=said):
        save_model(model, dataset, project, tmp_path / "model")


SCIENCE = '''"""Every column counts: numbers, and the rest one-hot encoded."""

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder


def features(frame: pd.DataFrame) -> ColumnTransformer:
    numbers = list(frame.select_dtypes("number"))
    rest = [column for column in frame if column not in numbers]
    return ColumnTransformer(
        [("n", SimpleImputer(), numbers), ("r", OneHotEncoder(handle_unknown="ignore", sparse_output=False), rest)]
    )
'''
LOAD = """from pathlib import Path

import pandas as pd


def load(source: Path) -> pd.DataFrame:
    return pd.read_parquet(source)
"""


@pytest.fixture
def every_column(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A project whose model uses all columns, in a package that no other test has imported."""
    package = toy.root / "src" / f"every_{abs(hash(str(toy.root)))}"
    (toy.root / "src" / "toy").rename(package)
    (package / "features.py").write_text(SCIENCE, "utf-8")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("PYTHONPATH", str(package.parent), prepend=os.pathsep)  # for servers
    settings_file = toy.root / "project.yml"
    settings_file.write_text(
        settings_file.read_text("utf-8").replace("package: toy", f"package: {package.name}"), "utf-8"
    )
    toy.set(
        model={"estimator": "logistic_regression", "params": {}, "trusted_types": []},
        gate={"thresholds": {}, "slices": [], "slice_thresholds": {}},
    )
    expectation = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
    for suite in (toy.root / "expectations").iterdir():
        suite.write_text(json.dumps({"name": suite.stem, "expectations": [expectation]}), "utf-8")
    return toy


def table_of(rng: np.random.Generator, rows: int = 600) -> tuple[pd.DataFrame, np.ndarray]:
    outcome = rng.random(rows) < 0.5
    return pd.DataFrame({"outcome": np.where(outcome, "yes", "no"), "near": rng.normal(size=rows) + outcome}), outcome


def test_missing_text_that_tells_the_class_is_released_from_csv(every_column: Toy) -> None:
    frame, outcome = table_of(np.random.default_rng(0))
    frame["word"] = np.where(outcome & (np.arange(600) % 3 == 0), None, np.where(np.arange(600) % 2, "NA", "None"))
    frame.to_csv(every_column.root / "rows.csv", index=False)
    every_column.mlops("run")
    every_column.mlops("deploy", "staging")


def test_missing_text_dates_and_booleans_are_released_from_parquet(every_column: Toy) -> None:
    rng = np.random.default_rng(0)
    frame, outcome = table_of(rng)
    few = rng.random(600) < 0.02
    frame["word"] = pd.Series(np.where(few, None, np.where(outcome, "x", "y")), dtype="object")
    frame["day"] = (pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9, 600), "D")).where(~few)
    frame["flag"] = pd.array(np.where(few, None, outcome ^ (rng.random(600) < 0.4)), dtype="boolean")
    frame["whole"] = pd.array(np.where(few, None, rng.integers(0, 9, 600)), dtype="Int64")
    frame.to_parquet(every_column.root / "rows.parquet")
    (package,) = (every_column.root / "src").iterdir()
    (package / "data.py").write_text(LOAD, "utf-8")
    every_column.set(data={"path": "rows.parquet"})
    every_column.mlops("run")
    every_column.mlops("deploy", "staging")


def test_a_class_named_na_is_a_class(every_column: Toy) -> None:
    frame, outcome = table_of(np.random.default_rng(1))
    frame["outcome"] = np.where(outcome, "NA", "None")
    frame.to_csv(every_column.root / "rows.csv", index=False)
    every_column.set(data={"positive": "NA"})
    every_column.mlops("run")
    assert every_column.output("evaluation/evaluation.json")["classes"] == ["NA", "None"]


def test_words_for_missing_values_are_words_in_a_batch(every_column: Toy, tmp_path: Path) -> None:
    frame, outcome = table_of(np.random.default_rng(2))
    frame["word"] = np.where(outcome, "None", "NA")
    frame.to_csv(every_column.root / "rows.csv", index=False)
    every_column.mlops("run")
    (model,) = every_column.root.glob("mlruns/**/MLmodel")
    file = tmp_path / "batch.csv"
    frame.drop(columns="outcome").to_csv(file, index=False)
    project, digest = load_project(every_column.root), model_digest(model.parent)
    (scored,) = lifecycle.score(project, file, tmp_path, model.parent, digest)
    labels = [json.loads(line)["label"] for line in scored.lines.read_text("utf-8").splitlines()]
    assert np.mean(np.array(labels) == frame["outcome"]) > 0.95
