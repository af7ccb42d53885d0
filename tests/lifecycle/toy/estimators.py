"""Classifiers that are good, bad, unfair, or well-behaved until they are served."""

from __future__ import annotations

import json
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


class Planted(Columns):
    """It writes a file as soon as it is loaded; no project trusts it."""

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        Path(os.environ["PLANTED"]).touch()


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
    """It fails only where production serves it, in the way that the project's file `fault` names.

    Ways: crash-at-start, crash, crash-later, hang, freeze, wrong, slow.
    """

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        if fault_in_production() == "crash-at-start":
            raise MemoryError("the model does not fit into memory")

    def predict_proba(self, X: Any) -> Any:
        found = super().predict_proba(X)
        fault = fault_in_production()
        if not fault:
            return found
        if fault == "crash" or (fault == "crash-later" and has_all_traffic()):
            os._exit(1)
        if fault == "hang":
            time.sleep(600)
        if fault == "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
        if fault == "slow":
            time.sleep(0.4)
        return 1 - found if fault == "wrong" else found


def has_all_traffic() -> bool:
    """Return whether this process gets all requests of its endpoint."""
    state = json.loads(Path("../state.json").read_text("utf-8"))
    return bool(state["traffic"].get(Path.cwd().name) == 100)


def fault_in_production() -> str:
    """The fault that is asked for, if this process is a server of the production endpoint."""
    home = Path.cwd()  # PROJECT/.mlops/production/SLOT
    if home.parent.name != "production":
        return ""
    return (home.parents[2] / "fault").read_text("utf-8")
