"""The scoring script in Azure ML's server: correct answers, and no request that breaks it."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import random
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from conftest import make_toy
from mlflow.models import infer_signature
from mlops.config import load_project
from mlops.model.estimators import predicted_classes
from mlops.model.loading import Trust, model_digest, trust
from mlops.serving.limits import MAX_BODY, MAX_ROWS
from mlops.serving.score import MAX_PROBLEMS, BadRequest, Scorer
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

ROW: dict[str, Any] = {"near": 1.0, "far": -0.5, "told": 0.3, "segment": "a", "note": None}
OTHER: dict[str, Any] = {"near": -2, "far": 0.25, "told": -1e-3, "segment": "c", "note": "x"}
MUTATIONS = 500


@dataclass(frozen=True)
class Served:
    """A registered model behind a real server process, and its folder."""

    port: int
    folder: Path
    trusted: Trust

    def ask(self, body: bytes | Iterator[bytes], method: str = "POST", path: str = "/score") -> tuple[int, Any]:
        """Return status and content of the answer, which must be standard JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            with contextlib.suppress(BrokenPipeError):  # it answered before reading all
                connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.getheader("Content-Type") == "application/json"
            return answer.status, json.loads(answer.read(), parse_constant=refuse)
        finally:
            connection.close()


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    toy = make_toy(tmp_path_factory.mktemp("score"))
    toy.mlops("run")
    toy.mlops("deploy", "staging")
    home = toy.root / ".mlops" / "staging"
    ((slot, kept),) = json.loads((home / "state.json").read_text("utf-8"))["slots"].items()
    folder = home / slot / "azureml-models" / "toy" / "1"
    yield Served(kept["port"], folder, trust(load_project(toy.root), kept["digest"]))
    toy.mlops("stop")


def as_records(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"input_data": rows}).encode()


def as_table(*rows: dict[str, Any]) -> bytes:
    data = [list(row.values()) for row in rows]
    return json.dumps({"input_data": {"columns": list(rows[0]), "data": data}}).encode()


def with_value(text: str, column: str = "near") -> bytes:
    """Return a body whose second row has the JSON ``text`` as a column's value."""
    return as_records(ROW, {**ROW, column: "@"}).replace(b'"@"', text.encode())


@pytest.mark.parametrize("form", [as_records, as_table])
def test_both_formats_get_the_models_answers(served: Served, form: Callable[..., bytes]) -> None:
    status, content = served.ask(form(ROW, OTHER))
    assert status == 200
    assert content["model"] == {"name": "toy", "version": "1"}
    model = mlflow.sklearn.load_model(str(served.folder / "model"))
    probabilities = model.predict_proba(pd.DataFrame([ROW, OTHER]))
    labels = model.predict(pd.DataFrame([ROW, OTHER]))
    assert content["predictions"] == [
        {"label": label, "probabilities": {"no": pytest.approx(no), "yes": pytest.approx(yes)}}
        for label, (no, yes) in zip(labels, probabilities, strict=True)
    ]
    assert {p["label"] for p in content["predictions"]} == {"no", "yes"}


def test_the_order_of_columns_does_not_matter(served: Served) -> None:
    turned = dict(reversed(ROW.items()))
    assert served.ask(as_records(turned)) == served.ask(as_records(ROW))
    assert served.ask(as_table(turned)) == served.ask(as_records(ROW))


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "segment": "never seen"},
        {**ROW, "segment": ""},
        {**ROW, "segment": "\ud800"},
        {**ROW, "segment": "\x00\U0001f600", "note": "z" * 100_000},
        {**ROW, "near": -0.0, "far": 5e-324, "told": 2**70},
        {**ROW, "near": 1e300, "far": -1e300, "told": 10**300},
    ],
    ids=["unseen", "empty", "lone surrogate", "odd characters", "odd numbers", "huge numbers"],
)
def test_unusual_but_valid_rows_are_answered(served: Served, row: dict[str, Any]) -> None:
    status, content = served.ask(as_records(row))
    assert status == 200
    assert sum(content["predictions"][0]["probabilities"].values()) == pytest.approx(1)


# Invalid values of a row: JSON text, column, and the reported problem.
BAD_VALUES = {
    "text": ('"1.0"', "near", 'should be a number, is "1.0"'),
    "a boolean": ("true", "near", "should be a number, is true"),
    "a list": ("[1]", "near", "should be a number, is [1]"),
    "an object": ('{"a": 1}', "near", "should be a number"),
    "null": ("null", "near", "is null, but the training data had no missing values"),
    "infinite": ("1e400", "near", "is out of range"),
    "minus infinite": ("-1e400", "near", "is out of range"),
    "a huge whole number": ("9" * 400, "near", "is out of range"),
    "a number for text": ("1", "segment", "should be text, is 1"),
    "a boolean for text": ("false", "segment", "should be text, is false"),
    "infinite for text": ("1e400", "segment", "should be text"),
    "null for text": ("null", "segment", "is null, but the training data had no missing values"),
    "a number for an optional text": ("0", "note", "should be text, is 0"),
    "a long list for text": ("[" + "0," * 9999 + "0]", "segment", "should be text, is [0, 0"),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_an_invalid_value_is_reported_with_row_and_column(served: Served, name: str) -> None:
    text, column, words = BAD_VALUES[name]
    status, content = served.ask(with_value(text, column))
    assert status == 400
    assert content["error"]["message"] == "The rows have 1 problem."
    (problem,) = content["error"]["problems"]
    assert (problem["row"], problem["column"]) == (1, column)
    assert problem["problem"].startswith(words)
    assert len(problem["problem"]) < 100


def test_every_problem_of_a_row_is_reported(served: Served) -> None:
    row = {"near": None, "far": "1", "segment": 1, "note": None, "extra\ud800": 1}
    status, content = served.ask(as_records(ROW, row))
    assert status == 400
    assert {(p["row"], p["column"], p["problem"]) for p in content["error"]["problems"]} == {
        (1, "near", "is null, but the training data had no missing values"),
        (1, "far", 'should be a number, is "1"'),
        (1, "told", "is missing from the row"),
        (1, "segment", "should be text, is 1"),
        (1, "extra\ud800", "is not an input of the model"),
    }


def test_an_answer_stays_short_with_many_problems(served: Served) -> None:
    status, content = served.ask(as_records(*[{"x" * 5000: 1}] * 1000))
    assert status == 400
    assert len(content["error"]["problems"]) == MAX_PROBLEMS
    assert len(json.dumps(content)) < 5000


FORM = "The body should be"
BAD_BODIES = {
    "empty": (b"", "The body is not JSON"),
    "no JSON": (b"near=1&far=2", "The body is not JSON"),
    "cut off": (as_records(ROW)[:-3], "The body is not JSON"),
    "two documents": (as_records(ROW) * 2, "The body is not JSON"),
    "not UTF-8": (b'{"input_data": [{"segment": "\xe9"}]}', "The body is not JSON"),
    "binary": (bytes(range(256)), "The body is not JSON"),
    "NaN": (with_value("NaN"), "NaN is not a JSON number; send null"),
    "Infinity": (with_value("-Infinity"), "-Infinity is not a JSON number"),
    "too many digits": (with_value("9" * 5000), "The body is not JSON"),
    "deeply nested": (b"[" * 100_000, "The body is not JSON"),
    "nested objects": (b'{"a":' * 100_000, "The body is not JSON"),
    "null": (b"null", FORM),
    "a number": (b"1", FORM),
    "a list": (b"[]", FORM),
    "no input_data": (b"{}", FORM),
    "input_data is null": (b'{"input_data": null}', FORM),
    "input_data is a text": (b'{"input_data": "near"}', FORM),
    "input_data is one row": (json.dumps({"input_data": ROW}).encode(), FORM),
    "a row is a list": (b'{"input_data": [[1, 2]]}', FORM),
    "one row is null": (b'{"input_data": [{}, null]}', FORM),
    "columns only": (b'{"input_data": {"columns": ["near"]}}', FORM),
    "no rows": (b'{"input_data": []}', "input_data contains no rows."),
    "no rows in a table": (b'{"input_data": {"columns": ["a"], "data": []}}', "contains no rows."),
    "columns are no list": (b'{"input_data": {"columns": 3, "data": []}}', "each column name"),
    "no columns": (b'{"input_data": {"columns": [], "data": [[]]}}', "each column name once"),
    "a column twice": (b'{"input_data": {"columns": ["a", "a"], "data": [[1, 2]]}}', "once"),
    "a column without a name": (b'{"input_data": {"columns": ["a", 1], "data": []}}', "once"),
    "a column that is a list": (b'{"input_data": {"columns": [["a"]], "data": []}}', "once"),
    "data is no list": (b'{"input_data": {"columns": ["a"], "data": {}}}', "a list of rows"),
    "a short row": (
        b'{"input_data": {"columns": ["a", "b"], "data": [[1, 2], [1]]}}',
        "Row 1 of input_data.data should contain 2 values.",
    ),
    "a row that is no list": (b'{"input_data": {"columns": ["a"], "data": ["x"]}}', "Row 0 of"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_in_another_format_is_explained(served: Served, name: str) -> None:
    body, words = BAD_BODIES[name]
    status, content = served.ask(body)
    assert status == 400
    assert words in content["error"]["message"]
    assert len(content["error"]["message"]) < 300


def test_nesting_near_the_parsers_limit_is_refused(served: Served) -> None:
    """Just below the limit, a value can be parsed but perhaps not printed."""
    for depth in range(850, 1010, 3):
        assert served.ask(with_value("[" * depth + "]" * depth))[0] == 400
        assert served.ask(with_value('{"a":' * depth + "1" + "}" * depth))[0] == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_refused(served: Served, method: str) -> None:
    assert served.ask(as_records(ROW), method)[0] == 405


def test_another_path_is_refused(served: Served) -> None:
    assert served.ask(as_records(ROW), path="/predict")[0] == 404


def test_a_body_that_is_too_large_is_refused_before_it_is_read(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.putrequest("POST", "/score")
    connection.putheader("Content-Length", str(MAX_BODY + 1))
    connection.endheaders(b'{"input_data": ')
    answer = connection.getresponse()
    assert answer.status == 413
    assert "larger than 16,777,216 bytes" in json.load(answer)["error"]["message"]
    connection.close()


def test_a_body_that_is_too_large_is_refused_without_its_length(served: Served) -> None:
    parts = MAX_BODY // 2**20 + 1
    assert served.ask(b" " * 2**20 for _ in range(parts))[0] == 413


VALUES: list[Any] = [
    *[None, True, False, 0, -1, 2**63, -(10**400), 1e308, -1e308, 5e-324, float("inf")],
    *[float("nan"), "", "a", "\ud800", "\x00", "z" * 5000, [], [[]], {}, {"near": 1}, [ROW]],
]


def mutated(rng: random.Random) -> bytes:
    """Return a valid body with one to three values changed, and perhaps some bytes."""
    body: Any = json.loads(rng.choice([as_records, as_table])(ROW, OTHER))
    for _ in range(rng.randint(1, 3)):
        place: Any = body
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = rng.choice(keys)
            inside = place[key]
            if isinstance(inside, dict | list) and rng.random() < 0.8:
                place = inside
                continue
            action = rng.choice(["replace", "replace", "remove", "add"])
            if action == "remove":
                del place[key]
            elif action == "replace":
                place[key] = copy.deepcopy(rng.choice(VALUES))
            elif isinstance(place, dict):
                place[rng.choice(["near", "extra", "", "\ud800"])] = rng.choice(VALUES)
            else:
                place.append(copy.deepcopy(rng.choice([inside, *VALUES])))
            break
    text = bytearray(json.dumps(body, ensure_ascii=rng.random() < 0.9), "utf-8", "surrogatepass")
    if rng.random() < 0.3:
        for _ in range(rng.randint(1, 3)):
            spot = rng.randrange(len(text) + 1)
            text[spot : spot + rng.randint(0, 2)] = rng.choice(
                [b"", b'"', b"}", b"[", b",", b"e9", b"\xff", b"\\u", b"\n", b"-", b"0"]
            )
    return bytes(text)


def test_no_mutation_of_a_valid_body_breaks_the_server(served: Served) -> None:
    rng = random.Random(20)  # noqa: S311
    seen: dict[int, int] = {}
    good = served.ask(as_records(ROW, OTHER))
    for _ in range(MUTATIONS):
        body = mutated(rng)
        status, content = served.ask(body)
        seen[status] = seen.get(status, 0) + 1
        if status == 200:
            assert len(content["predictions"]) >= 1, body
            continue
        assert status == 400, body
        assert content["error"]["message"], body
        for problem in content["error"]["problems"]:
            assert 0 <= problem["row"] < 6, body
            assert isinstance(problem["column"], str), body
            assert problem["problem"], body
    assert seen[200] > 20
    assert seen[400] > 200
    assert served.ask(as_records(ROW, OTHER)) == good


def test_parsed_rows_have_the_dtypes_of_training(served: Served) -> None:
    frame = pd.DataFrame(Scorer(served.folder, served.trusted).parse(as_records(OTHER, ROW)))
    assert list(frame) == ["near", "far", "told", "segment", "note"]
    assert frame.dtypes.astype(str).tolist() == ["float64"] * 3 + ["object"] * 2
    assert frame["near"].tolist() == [-2.0, 1.0]
    assert frame["note"][0] == "x"
    assert np.isnan(frame["note"][1])


def test_labels_follow_the_models_threshold(served: Served) -> None:
    scorer = Scorer(served.folder, served.trusted)
    model = mlflow.sklearn.load_model(str(served.folder / "model"))
    rows = [{**ROW, "near": near} for near in np.linspace(-3, 3, 61).round(2).tolist()]
    said = [p["label"] for p in scorer.answer(as_records(*rows))["predictions"]]
    assert said == model.predict(pd.DataFrame(rows)).tolist()
    probabilities = model.predict_proba(pd.DataFrame(rows))
    assert predicted_classes(model, probabilities).tolist() == [["no", "yes"].index(x) for x in said]
    assert model.threshold != 0.5


def save(folder: Path, classifier: Any, *transformers: tuple[Any, list[str]]) -> Scorer:
    """Return a scorer of a model with inputs of every type."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=200),
            "flag": rng.random(200) < 0.5,
            "day": pd.date_range("2026-01-01", periods=200),
            "count": rng.integers(0, 9, size=200).astype(float),
        }
    )
    columns = [column for _, some in transformers for column in some]
    target = (frame["number"] + frame["flag"] > 0).astype(int)
    model = make_pipeline(make_column_transformer(*transformers), classifier)
    home = folder / "kinds" / "7"
    mlflow.sklearn.save_model(
        model.fit(frame[columns], target),
        home / "model",
        signature=infer_signature(frame[columns]),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    return Scorer(home, Trust(model_digest(home / "model"), "cloudpickle"))


def weekday(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.apply(lambda column: pd.to_datetime(column).dt.dayofweek)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return save(
        tmp_path_factory.mktemp("kinds"),
        LogisticRegression(),
        (OneHotEncoder(), ["flag"]),
        (FunctionTransformer(weekday), ["day"]),
        ("passthrough", ["count"]),
    )


GOOD_KINDS = {"flag": True, "day": "2026-01-31T12:00:00", "count": 3}


def test_booleans_and_dates_are_parsed(kinds: Scorer) -> None:
    answer = kinds.answer(as_records(GOOD_KINDS, {**GOOD_KINDS, "flag": False}))
    yes, no = (p["probabilities"]["1"] for p in answer["predictions"])
    assert yes > no
    assert {p["label"] for p in answer["predictions"]} <= {0, 1}
    [day] = kinds.parse(as_records(GOOD_KINDS))["day"]
    assert pd.Timestamp(day) == pd.Timestamp("2026-01-31T12:00:00")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("flag", 1, "should be true or false, is 1"),
        ("flag", "true", 'should be true or false, is "true"'),
        ("day", "31.31.2026", "should be a date and time"),
        ("day", "", "should be a date and time"),
        ("day", 20260131, "should be a date and time"),
        ("day", "9999-12-31", "should be a date and time"),
        ("day", "\ud800", "should be a date and time"),
        ("count", True, "should be a number, is true"),
    ],
)
def test_invalid_booleans_and_dates_are_reported(kinds: Scorer, column: str, value: Any, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        kinds.answer(as_records(GOOD_KINDS, {**GOOD_KINDS, column: value}))
    (problem,) = caught.value.problems
    assert (problem["row"], problem["column"]) == (1, column)
    assert problem["problem"].startswith(words)


@pytest.mark.parametrize("day", ["31 Jan 2026", "2026-01-31", "2026-01-31T12:00:00Z"])
def test_dates_are_accepted_in_several_formats(kinds: Scorer, day: str) -> None:
    body = as_records(GOOD_KINDS, {**GOOD_KINDS, "day": day})
    try:
        answer = kinds.answer(body)
    except BadRequest as error:
        assert error.problems[0]["row"] == 1
        return
    assert len({p["probabilities"]["1"] for p in answer["predictions"]}) == 1


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_number_that_the_model_refuses_is_a_bad_request(tmp_path: Path) -> None:
    scorer = save(tmp_path, RandomForestClassifier(5), ("passthrough", ["number", "count"]))
    with pytest.raises(BadRequest):
        scorer.answer(as_records({"number": 1e39, "count": 1}))


def test_reporting_many_invalid_rows_needs_little_memory(kinds: Scorer) -> None:
    body = as_records(*[{}] * 20_000)
    tracemalloc.start()
    json.loads(body)
    reading = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    with pytest.raises(BadRequest):
        kinds.answer(body)
    refusing = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refusing < 3 * reading


def test_idle_and_half_requests_do_not_stop_a_slot(served: Served) -> None:
    """The server's own default, one connection at a time, waits 300 seconds for an idle one."""
    with contextlib.ExitStack() as stack:
        for number in range(60):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            client.sendall([b"", b"POST /score HTTP/1.1\r\n", b"GET"][number % 3][: 20 * (number < 20)])
        assert served.ask(as_records(ROW))[0] == 200


def test_a_row_gets_the_same_answer_alone_and_among_others(served: Served) -> None:
    rows = [{**ROW, "near": near} for near in np.linspace(-3, 3, 200).round(3).tolist()]
    alone = [served.ask(as_records(row))[1]["predictions"][0] for row in rows[:20]]
    together = served.ask(as_records(*rows))[1]["predictions"]
    with ThreadPoolExecutor(16) as pool:
        at_once = list(pool.map(lambda row: served.ask(as_records(row))[1]["predictions"][0], rows))
    for found in (together, at_once):
        assert [p["label"] for p in found] == [p["label"] for p in together]
        for one, other in zip(found, together, strict=True):
            assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-9)
    for one, other in zip(alone, together, strict=False):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-9)


def test_more_rows_than_a_request_may_have_are_413_at_once(served: Served) -> None:
    """Sixteen megabytes of tiny rows would hold a slot for seconds."""
    row = json.dumps({"near": 1})
    body = ('{"input_data": [' + ",".join([row] * (MAX_BODY // len(row + ",") - 10)) + "]}").encode()
    assert len(body) < MAX_BODY
    status, content = served.ask(body)
    assert status == 413
    assert "at most 10,000 in a request" in content["error"]["message"]
    assert served.ask(as_records(*[ROW] * MAX_ROWS))[0] == 200
