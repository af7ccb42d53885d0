"""Registers a challenger that the gate accepted, and nothing else."""

from __future__ import annotations

from pathlib import Path

from mlops.config import Project
from mlops.errors import ConfigError, Refused
from mlops.model.registry import Registry, Version
from mlops.outputs import write_json
from mlops.results import Evaluation, Training


def register(evaluation: Evaluation, training: Training, project: Project, folder: Path) -> Version:
    """Register the run that was accepted; the same run twice is registered once.

    Writes registration.json into ``folder``.

    Raises
    ------
    ConfigError
        The evaluation is of another run than the last training.
    Refused
        The gate did not accept it.
    """
    if evaluation.run_id != training.run_id:
        raise ConfigError("The evaluation is of an earlier model.", "Run `mlops evaluate`.")
    decision = evaluation.decision
    if not decision.accepted:
        raise Refused("Not registered: " + " ".join(reason.text for reason in decision.reasons))
    metrics = {f"holdout.{k}": f"{v:.6f}" for k, v in evaluation.metrics.items() if v is not None}
    tags = {
        "mlops.model_digest": training.model_digest,
        "mlops.data_digest": training.data_digest,
        "mlops.evaluation": ", ".join(reason.code for reason in decision.reasons),
        **metrics,
    }
    version = Registry(project).register(training.run_id, tags)
    write_json(
        folder / "registration.json",
        {"name": version.name, "version": version.number, "run_id": version.run_id},
    )
    return version
