"""Connect to the store of runs and models: ``mlflow.db``, or MLFLOW_TRACKING_URI."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

from mlops.config import Project
from mlops.errors import STORE_FIX, ConfigError, first_line
from mlops.model.store import alone, artifacts_folder, local_store

# Read when mlflow is imported: no telemetry, no progress bars.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

# "Model training", not "GenAI"; MLflow 3.15's page goes by the browser's last choice instead.
EXPERIMENT_KIND = ("mlflow.experimentKind", "custom_model_development")

_GIVEN_STORE = os.environ.get("MLFLOW_TRACKING_URI") or None


def connect(project: Project) -> None:
    """Point MLflow at the project's store and experiment, creating both at first use.

    Raises
    ------
    ConfigError
        The store cannot be reached, or is not an MLflow database.
    """
    import mlflow

    # It logs tracebacks, and addresses with passwords, of errors that it also raises.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    try:
        if _GIVEN_STORE is None:
            mlflow.set_tracking_uri(local_store(project.root))
            # MLflow also sets the variable, which subprocesses would inherit.
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        if "MLFLOW_RUN_ID" not in os.environ and "MLFLOW_EXPERIMENT_NAME" not in os.environ:
            _use_experiment(project)  # an Azure ML job already has one
    except ConfigError:
        raise
    except Exception as error:
        # Never show the address: it may contain a password.
        store = "mlflow.db" if _GIVEN_STORE is None else "The store in MLFLOW_TRACKING_URI"
        raise ConfigError(f"{store} cannot be used: {first_line(error)}", STORE_FIX) from error


def _use_experiment(project: Project) -> None:
    import mlflow

    local = _GIVEN_STORE is None
    if mlflow.get_experiment_by_name(project.project) is None:
        folder = artifacts_folder(project.root) if local else None
        with alone(project.root):  # another command may create it too
            if mlflow.get_experiment_by_name(project.project) is None:
                mlflow.create_experiment(project.project, artifact_location=folder)
    experiment = mlflow.set_experiment(project.project)
    if local and EXPERIMENT_KIND[0] not in experiment.tags:
        mlflow.set_experiment_tag(*EXPERIMENT_KIND)


def git_commit(root: Path) -> str:
    """Return the current commit, with "-dirty" if files differ from it; "" without git."""

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
