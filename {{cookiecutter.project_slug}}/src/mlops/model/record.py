"""What a training leaves in its run beside the model: the keys of the rows that it saw."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlops.data.dataset import Dataset
from mlops.data.identity import FILE, RowKeys, load_keys


def log_record(dataset: Dataset) -> None:
    """Log the record to the active run."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        mlflow.log_artifact(str(dataset.keys.of(~dataset.holdout).save(Path(folder))))


def trained_rows(run_id: str) -> RowKeys | None:
    """Return the keys of the rows that a run was trained on; None if it has no such record."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        try:
            found = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=FILE, dst_path=folder
            )
        except (mlflow.MlflowException, OSError):  # trained before there were records
            return None
        return load_keys(Path(found))
