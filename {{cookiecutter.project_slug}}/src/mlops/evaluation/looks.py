"""Count how many models were evaluated on the same holdout."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from mlops.model import tags
from mlops.results import Reason

if TYPE_CHECKING:
    from mlops.data.dataset import Dataset

# The best of 20 equally good models looks 1.9 standard errors better than it is.
MANY_LOOKS: Final = 20
MOST_COUNTED: Final = 1000  # one page of MLflow's search


def holdout_digest(dataset: Dataset) -> str:
    """Return the SHA-256 of the keys of the holdout's rows, in any order."""
    keys = dataset.keys.keys[dataset.holdout]
    return hashlib.sha256(np.sort(keys).tobytes()).hexdigest()


def count_looks(run_id: str, digest: str) -> int:
    """Tag the run with the holdout's digest; return how many runs of its experiment have it.

    Evaluating a run again counts once. More than 1,000 are counted as 1,000.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    client.set_tag(run_id, tags.HOLDOUT, digest)
    experiment = client.get_run(run_id).info.experiment_id
    wanted = f"tags.{tags.HOLDOUT} = '{digest}'"
    found = client.search_runs([experiment], wanted, max_results=MOST_COUNTED)
    return len({run_id, *(run.info.run_id for run in found)})


def check_looks(looks: int) -> list[Reason]:
    """Say if so many models were evaluated on a holdout that the best figure is optimistic."""
    if looks <= MANY_LOOKS:
        return []
    text = (
        f"{looks:,} models were evaluated on these holdout rows, so the figures of a model that "
        "was chosen by them are optimistic: the best of 20 equally good models already looks 1.9 "
        "standard errors better than it is. Add newer rows, or draw another holdout with "
        "split.seed: the champion is then fitted anew for the comparison."
    )
    return [Reason(code="many_looks", text=text)]
