"""Requests that wait together: each gets its own answer, its own error, and none waits for a call that never ends."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from mlops.data.rows import Columns
from mlops.serving.together import MOST_ROWS, ScoringTimeout, Together, count_rows


def table(*values: float) -> Columns:
    return {"x": np.array(values), "word": np.array(["w"] * len(values), dtype=object)}


class Counting:
    """Doubles each row; refuses negative ones, and waits while the gate is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.calls: list[int] = []

    def __call__(self, rows: Columns) -> Any:
        self.gate.wait(30)
        self.calls.append(count_rows(rows))
        if (rows["x"] < 0).any():
            raise ValueError(f"negative among {len(rows['x'])}")
        return rows["x"][:, None] * 2


def test_requests_that_wait_are_scored_in_one_call() -> None:
    score = Counting()
    together = Together(score, 20)
    score.gate.clear()
    with ThreadPoolExecutor(64) as pool:
        asked = [pool.submit(together, table(*range(number, number + 1 + number % 3))) for number in range(64)]
        time.sleep(0.5)  # all wait: the first alone, since it came first
        score.gate.set()
        for number, answer in enumerate(asked):
            assert answer.result(20)[:, 0].tolist() == [2 * x for x in range(number, number + 1 + number % 3)]
    assert len(score.calls) == 2
    assert sum(score.calls) == sum(1 + number % 3 for number in range(64))


def test_a_call_has_a_limit_of_rows_unless_one_request_has_more() -> None:
    score = Counting()
    together = Together(score, 20)
    score.gate.clear()
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(together, table(*([1.0] * 100))) for _ in range(10)]
        asked.append(pool.submit(together, table(*([1.0] * 3 * MOST_ROWS))))
        time.sleep(0.3)
        score.gate.set()
        assert [len(answer.result(20)) for answer in asked] == [*[100] * 10, 3 * MOST_ROWS]
    assert max(score.calls) < 4 * MOST_ROWS
    assert len(score.calls) >= 4


def test_an_error_belongs_to_the_request_that_caused_it() -> None:
    score = Counting()
    together = Together(score, 20)
    score.gate.clear()
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(together, table(-1.0 if number % 5 == 3 else number)) for number in range(20)]
        time.sleep(0.3)
        score.gate.set()
        for number, answer in enumerate(asked):
            if number % 5 == 3:
                with pytest.raises(ValueError, match="negative among 1"):
                    answer.result(20)
            else:
                assert answer.result(20).tolist() == [[2 * number]]


def test_a_call_that_never_ends_fails_what_waits_for_it_and_nothing_later() -> None:
    score = Counting()
    together = Together(score, 0.5)
    closed = score.gate
    closed.clear()
    with ThreadPoolExecutor(5) as pool:
        hung = pool.submit(together, table(0.0))
        time.sleep(0.2)
        asked = [pool.submit(together, table(1.0)) for _ in range(4)]
        for answer in asked:
            with pytest.raises(ScoringTimeout):
                answer.result(20)
        score.gate = threading.Event()
        score.gate.set()
        assert together(table(4.0)).tolist() == [[8.0]]
        assert not hung.done()
        closed.set()
        assert hung.result(20).tolist() == [[0.0]]


def test_even_an_exit_in_the_models_code_stops_nobody_else() -> None:
    calls = 0

    def score(rows: Columns) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise SystemExit(1)
        return rows["x"][:, None]

    together = Together(score, 5)
    with pytest.raises(SystemExit):
        together(table(1.0))
    assert together(table(1.0)).tolist() == [[1.0]]
