"""Classifiers that are good, bad, unfair, or well-behaved until they are served."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression


class Columns(LogisticRegression):
    """Logistic regression on the first ``width`` columns."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.width = width

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Columns:
        super().fit(X[:, : self.width], y)
        return self

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(X[:, : self.width])


class Shuffled(Columns):
    """It learns from a shuffled target."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Shuffled:
        super().fit(X, np.random.default_rng(0).permutation(y))
        return self


class Unfair(Columns):
    """It leans to the opposite in the last segment, and is excellent in the others."""

    def predict_proba(self, X: Any) -> Any:
        found = super().predict_proba(X)
        return np.where(X[:, -1:] == 1, 0.6 - 0.2 * found, found)


class Faulty(Columns):
    """It fails in one way, but only where production serves it.

    Parameters
    ----------
    fault : str
        crash-at-start, crash, crash-later, hang, freeze, wrong or slow.
    """

    def __init__(self, width: int = 2, fault: str = "") -> None:
        super().__init__(width)
        self.fault = fault

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        if self.fault == "crash-at-start" and in_production():
            raise MemoryError("the model does not fit into memory")

    def predict_proba(self, X: Any) -> Any:
        found = super().predict_proba(X)
        if not in_production():
            return found
        self.calls = getattr(self, "calls", 0) + 1
        if self.fault == "crash" or (self.fault == "crash-later" and self.calls > 15):
            os._exit(1)
        if self.fault == "hang":
            time.sleep(600)
        if self.fault == "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
        if self.fault == "slow":
            time.sleep(0.4)
        return 1 - found if self.fault == "wrong" else found


def in_production() -> bool:
    """Whether this process is a server of the production endpoint."""
    return Path.cwd().parent.name == "production"
