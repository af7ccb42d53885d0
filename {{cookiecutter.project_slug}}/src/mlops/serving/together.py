"""Score requests that wait at the same time in one call, which costs little more than one row."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

import numpy as np

from mlops.data.rows import Columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_ROWS: Final = 256  # in one call, unless a single request has more
# A call that never ends cannot be stopped: its thread is left, and a new one takes its place.
MOST_LEFT: Final = 8


class ScoringTimeout(Exception):
    """The model did not answer in time."""


class Waiting:
    """A request's rows, then its answer."""

    def __init__(self, table: Columns) -> None:
        self.table = table
        self.rows = count_rows(table)
        self.answer: Floats | None = None
        self.error: BaseException | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def finish(self, answer: Floats | None, error: BaseException | None = None) -> None:
        self.answer, self.error = answer, error
        self._done.release()

    def wait(self, seconds: float) -> Floats:
        """Return the answer, or raise the error of scoring these rows."""
        if not self._done.acquire(timeout=seconds):
            raise ScoringTimeout
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer


class Turn:
    """Whose turn it is to call the model, and who waits for that."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.queue: SimpleQueue[Waiting] = SimpleQueue()
        self.claimed = False  # the thread wants the lock next, so that nobody waits for ever


class Together:
    """Calls a function for the rows of all requests that wait, in a thread of its own.

    A request that comes alone calls it itself: waking another thread takes longer than a row.

    Parameters
    ----------
    score : callable
        From a table to an array whose rows belong to the table's.
    seconds : float
        How long a request waits for others before it fails.
    """

    def __init__(self, score: Callable[[Columns], Floats], seconds: float) -> None:
        self._score = score
        self._seconds = min(seconds, threading.TIMEOUT_MAX)
        self._left: list[Turn] = []  # of calls that did not end
        self._lock = threading.Lock()
        self._turn = self._start()

    def __call__(self, table: Columns) -> Floats:
        """Return the answer to a request's rows.

        Raises
        ------
        ScoringTimeout
            The call that was to answer it did not end in time.
        """
        turn = self._turn
        if not turn.claimed and turn.queue.empty() and turn.lock.acquire(blocking=False):
            try:
                return self._score(table)
            finally:
                turn.lock.release()
        waiting = Waiting(table)
        turn.queue.put(waiting)
        try:
            return waiting.wait(self._seconds)
        except ScoringTimeout:
            self._replace(turn)
            raise

    def _start(self) -> Turn:
        turn = Turn()
        threading.Thread(target=self._run, args=(turn,), daemon=True).start()
        return turn

    def _replace(self, turn: Turn) -> None:
        """Leave a call that does not end; after too many, end, and be started again."""
        with self._lock:
            if turn is not self._turn:  # another request did it
                return
            self._left.append(turn)
            if len(self._left) > MOST_LEFT:
                os._exit(1)
            self._turn = self._start()

    def _run(self, turn: Turn) -> None:
        while turn not in self._left:
            first = turn.queue.get()
            turn.claimed = True
            with turn.lock:
                turn.claimed = False
                self._answer(take(first, turn.queue))

    def _answer(self, group: Sequence[Waiting]) -> None:
        try:
            answers = self._score(join([waiting.table for waiting in group]))
        except BaseException as error:
            self._answer_alone(group, error)
            return
        start = 0
        for waiting in group:
            waiting.finish(answers[start : start + waiting.rows])
            start += waiting.rows

    def _answer_alone(self, group: Sequence[Waiting], error: BaseException) -> None:
        """Find out whose rows cannot be scored."""
        if len(group) == 1:
            group[0].finish(None, error)
            return
        for waiting in group:
            try:
                waiting.finish(self._score(waiting.table))
            except BaseException as own:
                waiting.finish(None, own)


def take(first: Waiting, queue: SimpleQueue[Waiting]) -> list[Waiting]:
    """Return a request and the others that wait, until they have `MOST_ROWS` rows."""
    group, rows = [first], first.rows
    while rows < MOST_ROWS:
        try:
            group.append(queue.get_nowait())
        except Empty:
            break
        rows += group[-1].rows
    return group


def join(tables: Sequence[Columns]) -> Columns:
    """Return the rows of some tables one after the other."""
    if len(tables) == 1:
        return tables[0]
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def count_rows(table: Columns) -> int:
    return len(next(iter(table.values())))
