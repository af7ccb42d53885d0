"""Bad data stops at `mlops validate`, which names the column and rows; nothing is registered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from conftest import Toy, make_rows
from mlops.results import Validation, read_result

Break = Callable[[pd.DataFrame], pd.DataFrame]


def with_cell(row: int, column: str, value: object) -> Break:
    """Set one cell; rows count from 1."""

    def broken(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype({column: object})
        frame.loc[row - 1, column] = value
        return frame

    return broken


def with_column(column: str, value: object) -> Break:
    return lambda frame: frame.assign(**{column: value})


# How to break the rows, and what the output says, in this order.
BROKEN: dict[str, tuple[Break, list[str]]] = {
    "a missing column": (lambda f: f.drop(columns="far"), ["(table)", "missing: far"]),
    "a column too many": (with_column("extra", 1), ["(table)", "unexpected: extra"]),
    "a wrong type": (with_cell(17, "near", "abc"), ["near", "1 of 1,600 rows", "17", "abc"]),
    "an unseen category": (with_cell(5, "segment", "d"), ["segment", "1 of 1,600 rows", "5", "d"]),
    "a value out of range": (with_cell(9, "near", 99.5), ["near", "1 of 1,600 rows", "9", "99.5"]),
    "a missing value": (with_cell(3, "segment", None), ["segment", "null", "1 of 1,600 rows", "3"]),
    "an all-null number": (
        with_column("near", np.nan),
        ["near", "null", "1,600 of 1,600 rows", "1, 2"],
    ),
    "an all-null text": (
        with_column("note", np.nan),
        ["note", "null", "1,600 of 1,600 rows", "1, 2"],
    ),
    "one class only": (with_column("outcome", "yes"), ["outcome", "missing: no"]),
    "classes out of balance": (
        lambda f: pd.concat([f[f.outcome == "no"].head(100), f[f.outcome == "yes"]]),
        ["outcome", "frequencies to be near", "yes 8"],
    ),
    "duplicated rows": (
        lambda f: pd.concat([f, f.head(40)], ignore_index=True),
        ["(table)", "near, far, told", "80 of 1,640 rows", "1, 2, 3"],
    ),
    "too few rows": (lambda f: f.head(300), ["(table)", "300"]),
    "a huge cell": (
        with_cell(8, "segment", "z" * 3_000_000),
        ["segment", "1 of 1,600 rows", "8", "zzz", "(3,000,000 characters)"],
    ),
}


def nothing_is_registered(toy: Toy) -> bool:
    return not toy.stages() and not (toy.root / "outputs" / "registration").exists()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rows_are_named(toy: Toy, name: str) -> None:
    broken, words = BROKEN[name]
    broken(make_rows()).to_csv(toy.root / "rows.csv", index=False)
    said = toy.mlops("run", code=1).output
    assert "[2/5]" not in said
    assert len(said) < 10_000
    place = 0
    for word in words:
        place = said.find(word, place)
        assert place >= 0, f"{word!r} is missing or out of order in:\n{said}"
    folder = toy.root / "outputs" / "validation"
    assert not read_result(folder, Validation).passed
    assert (folder / "validation.html").stat().st_size < 100_000
    assert "The data fails " in toy.mlops("train", code=1).output
    assert nothing_is_registered(toy)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"outcome,near,far,told,segment,note\n", "no rows"),
        (
            "outcome,near\nyes,1\nno,2\nja,\u00e9\n".encode("latin-1"),
            "line 4 (row 3), byte 4 is 0xe9",
        ),
        (b'outcome,near\nyes,"1\n' + b"no,2\n" * 9, "cannot be read"),
        (b"outcome,near\nyes,1\nno,2,3,4\n", "line 3"),
        (b"PK\x03\x04\x00\x00\xff\xfe\x00", "not UTF-8"),
    ],
    ids=["empty", "header only", "wrong encoding", "open quote", "ragged", "binary"],
)
def test_unreadable_files_are_explained(toy: Toy, content: bytes, words: str) -> None:
    (toy.root / "rows.csv").write_bytes(content)
    said = toy.mlops("run", code=1).output
    assert words in said
    assert "Traceback" not in said
    assert nothing_is_registered(toy)


def test_a_missing_file_is_explained(toy: Toy) -> None:
    (toy.root / "rows.csv").unlink()
    assert "does not exist" in toy.mlops("run", code=1).output
    assert "nowhere.csv does not exist" in toy.mlops("run", "--data", "nowhere.csv", code=1).output


def test_data_that_changed_after_validation_cannot_be_trained_on(toy: Toy) -> None:
    toy.mlops("validate")
    make_rows(seed=2).to_csv(toy.root / "rows.csv", index=False)
    assert "changed since it was validated" in toy.mlops("train", code=1).output


def test_rows_to_score_are_checked_without_a_target(toy: Toy) -> None:
    rows = make_rows().drop(columns="outcome")
    rows.to_csv(toy.root / "inputs.csv", index=False)
    inputs = str(toy.root / "inputs.csv")
    toy.mlops("validate", "--scoring", "--data", inputs)
    rows.assign(segment="d").to_csv(inputs, index=False)
    assert "segment" in toy.mlops("validate", "--scoring", "--data", inputs, code=1).output


def test_unknown_expectations_are_named(toy: Toy) -> None:
    suite = toy.root / "expectations" / "raw.json"
    suite.write_text('{"name": "raw", "expectations": [{"type": "expect_luck", "kwargs": {}}]}')
    said = toy.mlops("validate", code=2).output
    assert "raw.json: expect_luck is invalid: Great Expectations has no such expectation" in said
