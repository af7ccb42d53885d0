"""Waiting ends with the first result that is done, or with the last one in time; silence has a fitting advice."""

from __future__ import annotations

import itertools
import time

import pytest
from mlops.errors import ReleaseError
from mlops.release.client import is_private, send_rows
from mlops.waiting import wait_until


def test_the_first_done_result_is_returned() -> None:
    numbers = itertools.count()
    assert wait_until(lambda number: number == 3, lambda: next(numbers), 60) == 3


def test_the_last_result_is_returned_when_the_time_is_over() -> None:
    start = time.monotonic()
    assert wait_until(bool, lambda: 0, 0.3) == 0
    assert 0.3 <= time.monotonic() - start < 5


def test_a_result_is_looked_for_at_least_once() -> None:
    assert wait_until(bool, lambda: 1, 0) == 1


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("10.20.4.4", True),
        ("192.168.0.1", True),
        ("fd00::1", True),
        ("127.0.0.1", False),
        ("20.50.2.1", False),
        ("credit-production.westeurope.inference.ml.azure.com", False),
        ("", False),
    ],
)
def test_private_addresses_are_known(host: str, private: bool) -> None:
    assert is_private(host) == private


def test_a_private_address_that_does_not_answer_is_named() -> None:
    with pytest.raises(ReleaseError, match="No answer") as silent:
        send_rows("http://192.0.2.7:5001/score", b"{}", 0.3)
    assert silent.value.fix.startswith("192.0.2.7 is an address in the environment's own network")
