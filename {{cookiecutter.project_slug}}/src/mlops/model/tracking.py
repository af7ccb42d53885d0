"""Where runs and models are kept: MLflow in ``mlflow.db``, or wherever MLFLOW_TRACKING_URI says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from mlops.config import Project
from mlops.errors import ConfigError

# Read when mlflow is imported: it reports to its makers otherwise, and draws a bar per download.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

_GIVEN_STORE = os.environ.get("MLFLOW_TRACKING_URI") or None


def connect(project: Project) -> None:
    """Point MLflow at the project's store and experiment, creating both at first use.

    Raises
    ------
    ConfigError
        The store cannot be used: not reachable, or no MLflow database.
    """
    import mlflow

    try:
        if _GIVEN_STORE is None:
            mlflow.set_tracking_uri(local_store(project.root))
            # MLflow also puts it into the environment, and so into every process started here.
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        if "MLFLOW_RUN_ID" not in os.environ and "MLFLOW_EXPERIMENT_NAME" not in os.environ:
            _use_experiment(project)  # in an Azure ML job the platform has done so
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:300]
        # The address is not shown: it may hold a password.
        store = "mlflow.db" if _GIVEN_STORE is None else "The store in MLFLOW_TRACKING_URI"
        raise ConfigError(
            f"{store} cannot be used: {reason}",
            "Restore it, or remove it to begin anew: registered models are known there alone.",
        ) from error


def _use_experiment(project: Project) -> None:
    import mlflow

    if mlflow.get_experiment_by_name(project.project) is None:
        folder = (project.root / "mlruns").as_uri() if _GIVEN_STORE is None else None
        mlflow.create_experiment(project.project, artifact_location=folder)
    mlflow.set_experiment(project.project)


def git_commit(root: Path) -> str:
    """The commit that is checked out, with "-dirty" if files differ from it; "" without git."""

    def git(*args: str) -> str:
        done = subprocess.run(
            ["git", *args], cwd=root, capture_output=True, text=True, check=False, timeout=30
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}-dirty" if commit and git("status", "--porcelain") else commit
    except OSError:
        return ""


def local_store(root: Path) -> str:
    """The sqlite store; made aside and moved into place, so that a killed start leaves no half."""
    store = root / "mlflow.db"
    if not store.exists():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        part = root / "mlflow.db.part"
        for left in root.glob("mlflow.db.part*"):
            left.unlink()
        artifacts = (root / "mlruns").as_uri()
        made = SqlAlchemyStore(f"sqlite:///{part.as_posix()}", artifacts)  # type: ignore[no-untyped-call]
        made.engine.dispose()
        part.replace(store)
    return f"sqlite:///{store.as_posix()}"
