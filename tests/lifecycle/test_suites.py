"""A suite that cannot be checked, or would check nothing, is refused with each expectation's reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE, Toy
from hypothesis import given
from hypothesis import strategies as st
from mlops.data.suites import read_suite
from mlops.errors import ConfigError

KL = "column_kl_divergence_to_be_less_than"
QUANTILES = "column_quantile_values_to_be_between"


def write(folder: Path, content: Any) -> Path:
    file = folder / "raw.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return file


def suite_of(*expectations: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    items = [{"type": f"expect_{kind}", "kwargs": kwargs} for kind, kwargs in expectations]
    return {"name": "raw", "expectations": items}


def kl(threshold: float | None = 0.1, **partition: Any) -> tuple[str, dict[str, Any]]:
    return KL, {"column": "near", "partition_object": partition, "threshold": threshold}


def quantiles(at: Any, ranges: Any) -> tuple[str, dict[str, Any]]:
    return QUANTILES, {"column": "near", "quantile_ranges": {"quantiles": at, "value_ranges": ranges}}


# An expectation that cannot be used, and why.
INVALID: list[tuple[tuple[str, dict[str, Any]], str]] = [
    (("colum_to_exist", {"column": "near"}), "has no such expectation (did you mean 'expect_column_to_exist'?)"),
    (("column_to_exist", {"colum": "near"}), "colum: extra fields not permitted (did you mean 'column'?)"),
    (("column_to_exist", {"column": 3}), "column: str type expected"),
    (("column_values_to_be_between", {"column": "near"}), "min_value and max_value cannot both be None"),
    (("column_mean_to_be_between", {"column": "near"}), "neither min_value nor max_value, so it checks nothing"),
    (("table_row_count_to_be_between", {}), "neither min_value nor max_value, so it checks nothing"),
    (
        ("column_values_to_be_between", {"column": "near", "min_value": "a", "max_value": "b"}),
        "min_value: value is not",
    ),
    (("column_max_to_be_between", {"column": "near", "min_value": 2, "max_value": 1}), "min_value (2.0) is greater"),
    (
        ("column_values_to_be_between", {"column": "day", "min_value": "2026-02-01", "max_value": "2026-01-31"}),
        "min_value (2026-02-01) is greater than max_value (2026-01-31)",
    ),
    (("column_values_to_match_regex_list", {"column": "note", "regex_list": ["a", "[b"]}), "'[b' is not a regular"),
    (("column_values_to_match_regex", {"column": "note", "regex": 5}), "5 is not a regular expression"),
    (("column_values_to_not_be_in_set", {"column": "note", "value_set": []}), "no values in value_set"),
    (("column_distinct_values_to_contain_set", {"column": "note", "value_set": []}), "no values in value_set"),
    (("column_values_to_be_in_set", {"column": "note", "value_set": [["a"]]}), "holds a list or an object"),
    (("column_values_to_be_in_type_list", {"column": "note", "type_list": None}), "it has no type_list"),
    (("table_columns_to_match_ordered_list", {"column_list": []}), "it has no column_list"),
    (("table_columns_to_match_set", {}), "it has no column_set"),
    (("column_values_to_be_unique", {"column": "note", "mostly": 0}), "mostly is 0, so it checks nothing"),
    (kl(None, values=["a"], weights=[1]), "it has no threshold, so it checks nothing"),
    ((KL, {"column": "note", "threshold": 1}), "it has no partition_object, so it checks nothing"),
    (kl(values=["a", "b"], weights=[0.9, 0.2]), "the weights sum to 1.1, not 1"),
    (kl(values=["a", "b"], weights=[1.5, -0.5]), "the weight -0.5 is negative"),
    (kl(values=["a", "b"], weights=["x", 1]), "needs weights, as numbers"),
    (kl(values=["a", "b"], weights=[1.0]), "2 values or bins, and 1 weights"),
    (kl(bins=[0, 1, 2], weights=[1.0]), "3 values or bins, and 1 weights"),
    (quantiles([0.5], [[0, 1], [0, 1]]), "as many value_ranges as quantiles"),
    (quantiles([], []), "as many value_ranges as quantiles"),
    (quantiles([0.5, 1.5], [[0, 1], [0, 1]]), "the quantiles [0.5, 1.5] are not all from 0 to 1"),
    (quantiles([0.5], [[1, 0]]), "the range [1, 0] is empty"),
]


@pytest.mark.parametrize(("expectation", "reason"), INVALID, ids=[reason for _, reason in INVALID])
def test_each_way_to_be_invalid_has_its_reason(tmp_path: Path, expectation: Any, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_suite(write(tmp_path, suite_of(expectation)))
    assert str(caught.value).startswith(f"raw.json: expect_{expectation[0]}")
    assert reason in str(caught.value)


def test_all_invalid_expectations_are_listed_at_once(toy: Toy) -> None:
    good = ("column_to_exist", {"column": "near"})
    write(toy.root / "expectations", suite_of(good, *[expectation for expectation, _ in INVALID], good))
    said = " ".join(toy.mlops("run", code=2).output.split())
    assert f"raw.json has {len(INVALID)} invalid expectations" in said
    for _, reason in INVALID:
        assert reason in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not valid JSON"),
        ("{", "is not valid JSON"),
        *[(text, "has no expectations: nothing would be checked") for text in ("[]", "null", '"x"', "3", "{}")],
        ({"name": "raw"}, "has no expectations"),
        ({"name": "raw", "expectations": {}}, "has no expectations"),
        ({"name": "raw", "expectations": [1]}, "raw.json: 1 is invalid: an expectation is"),
        ({"name": "raw", "expectations": [{}]}, "raw.json: {} is invalid: an expectation is"),
        ({"name": "raw", "expectations": [{"type": 3, "kwargs": {"column": "near"}}]}, "an expectation is"),
        ({"name": "raw", "expectations": [{"type": "expect_column_to_exist"}]}, "an expectation is"),
        ({**suite_of(("column_to_exist", {"column": "near"})), "name": ""}, "is not a valid suite: name must be"),
    ],
)
def test_what_is_no_suite_is_refused(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_suite(write(tmp_path, content))


@pytest.mark.parametrize("file", sorted((HERE / "suites").glob("*.json")), ids=lambda file: file.name)
def test_the_suites_in_use_are_valid(file: Path) -> None:
    assert len(read_suite(file).expectations) == len(json.loads(file.read_text("utf-8"))["expectations"])


@pytest.mark.parametrize(
    ("expectation", "met"),
    [
        (kl(bins=[-10, 0, 10], weights=[0.5, 0.5]), True),
        (kl(bins=[-10, 0, 10], weights=[0.1, 0.9]), False),
        (quantiles([0.1, 0.9], [[None, 0], [0, None]]), True),
        (("column_values_to_be_between", {"column": "near", "min_value": 1, "max_value": 1}), False),
        (("column_values_to_match_regex_list", {"column": "note", "regex_list": ["^x$", "^y$"]}), True),
    ],
    ids=["bins", "other bins", "open ranges", "one value", "patterns"],
)
def test_a_valid_expectation_is_checked(toy: Toy, expectation: Any, met: bool) -> None:
    write(toy.root / "expectations", suite_of(expectation))
    assert "not checked" not in toy.mlops("validate", code=0 if met else 1).output


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text("ab[(", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["values", "weights", "bins"]), inner),
    max_leaves=4,
)
NAMES = ["min_value", "max_value", "mostly", "value_set", "regex", "regex_list", "partition_object", "quantile_ranges"]
NAMES += ["column", "threshold", "type_list", "column_list", "column_set", "strict_min"]
KINDS = sorted({kind for (kind, _), _ in INVALID})


@given(kind=st.sampled_from(KINDS), kwargs=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4), name=JSON)
def test_any_json_is_a_suite_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, kwargs: dict[str, Any], name: Any
) -> None:
    """Nothing else is raised, whatever the kwargs hold."""
    content = suite_of((kind, {"column": "near", **kwargs}))
    try:
        suite = read_suite(write(tmp_path_factory.getbasetemp(), {**content, "name": name or "raw"}))
    except ConfigError as error:
        assert "raw.json" in str(error)
        return
    assert len(suite.expectations) == 1
