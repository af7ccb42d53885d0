"""Waiting ends with the first result that is done, or with the last one in time."""

from __future__ import annotations

import itertools
import time

from mlops.release.client import wait_until


def test_the_first_done_result_is_returned() -> None:
    numbers = itertools.count()
    assert wait_until(lambda number: number == 3, lambda: next(numbers), 60) == 3


def test_the_last_result_is_returned_when_the_time_is_over() -> None:
    start = time.monotonic()
    assert wait_until(bool, lambda: 0, 0.3) == 0
    assert 0.3 <= time.monotonic() - start < 5


def test_a_result_is_looked_for_at_least_once() -> None:
    assert wait_until(bool, lambda: 1, 0) == 1
