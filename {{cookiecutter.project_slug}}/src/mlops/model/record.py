"""What a training leaves in its run beside the model: which rows it saw, and what they hold."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from mlops.data.dataset import Dataset
from mlops.data.identity import FILE as ROWS
from mlops.data.identity import RowKeys, load_keys
from mlops.data.profile import Profile, training_profile

PROFILE: Final = "profile.json"


def log_record(dataset: Dataset, target: str) -> None:
    """Log the keys and the profile of the training rows to the active run."""
    import mlflow

    mlflow.log_text(training_profile(dataset, target).model_dump_json(), PROFILE)
    with tempfile.TemporaryDirectory() as folder:
        mlflow.log_artifact(str(dataset.keys.of(~dataset.holdout).save(Path(folder))))


def trained_rows(run_id: str) -> RowKeys | None:
    """Return the keys of the rows that a run was trained on; None if it has no such record."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        try:
            found = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=ROWS, dst_path=folder
            )
        except (mlflow.MlflowException, OSError):  # trained before there were records
            return None
        return load_keys(Path(found))


def trained_profile(run_id: str) -> Profile | None:
    """Return what a run's training rows looked like; None if it has no such record."""
    import mlflow

    try:
        return Profile.model_validate(mlflow.artifacts.load_dict(f"runs:/{run_id}/{PROFILE}"))
    except (mlflow.MlflowException, OSError, ValidationError):
        return None
